package event

// Observers are told of each event in order.
type Observers []Observer

// Observe implements Observer.
func (o Observers) Observe(e Event) {
	for _, each := range o {
		each.Observe(e)
	}
}
