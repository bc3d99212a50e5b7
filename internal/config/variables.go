package config

// A Variable is one setting as the documentation has it.
type Variable struct {
	Name     string // WSR_*
	Default  string // in words where it depends
	Allowed  string
	Doc      string
	Injector bool // in Kubernetes the injector decides it
	Reach    Reach
}

// Variables lists all settings, in the order of the documentation.
func Variables() []Variable {
	var list []Variable
	for _, f := range fields() {
		list = append(list, Variable{
			Name: f.variable, Default: f.standard(), Allowed: f.allowed(), Doc: f.doc, Injector: f.injector, Reach: f.reach,
		})
	}
	return list
}

// Nearest returns the candidate that name is most likely a typing error of, or
// "" if none is close.
func Nearest(name string, candidates []string) string { return nearest(name, candidates) }

// Validate reads settings that are meant for another machine, as Load would read
// them there. It opens no file, so none can be named; what depends on the
// machine stays empty. The error is a Problems like that of Load.
func Validate(environ []string) (*Config, error) {
	l := newLoader()
	l.collect(environ)
	l.read()
	l.parse()
	l.bounds()
	l.refuseFiles()
	l.contradictions()
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	l.cfg.given = l.given
	return l.cfg, nil
}

// refuseFiles records settings that name a file.
func (l *loader) refuseFiles() {
	for _, variable := range ruleSettings {
		rules := l.cfg.rulesOf(variable)
		switch {
		case rules == "" || l.bad[variable]:
		case !rules.inline():
			l.fail(l.find(variable), "is not JSON")
			l.problems[len(l.problems)-1].Allowed = "JSON that starts with {"
		default:
			l.cfg.keepRules(variable, []byte(rules))
		}
	}
}
