package config

import "slices"

// adminSettings are what a command needs to reach a sidecar that runs.
var adminSettings = []string{configFile, "WSR_ADMIN_LISTEN", "WSR_ADMIN_TOKEN_FILE", "WSR_DRAIN_SECONDS"}

// LoadAdmin reads the settings by which a command reaches a sidecar that runs, and
// no others, which are as if they were not set: such a command works where the app
// is not known, and where a setting was changed to something that a start would
// refuse. A config file that cannot be used is a warning, since the sidecar goes on
// with what was in it before. The error is a Problems.
func LoadAdmin(environ []string) (*Config, error) {
	l := newLoader()
	l.collect(environ)
	if l.readConfigFile(); len(l.problems) > 0 {
		l.warn("%v; only the environment counts for this command.", l.problems)
		l.problems, l.values = nil, map[string]string{}
		l.collect(environ)
		delete(l.values, configFile)
	}
	l.fields = slices.DeleteFunc(l.fields, func(f field) bool { return !slices.Contains(adminSettings, f.variable) })
	for name := range l.values {
		if l.index(name) < 0 {
			delete(l.values, name)
		}
	}
	l.read()
	l.parse()
	l.bounds()
	l.files()
	return l.loaded()
}
