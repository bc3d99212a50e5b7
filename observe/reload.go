package observe

// Reloaded counts a reload of the settings, which was taken or refused.
func (m *Metrics) Reloaded(taken bool) {
	if taken {
		m.reloads.Inc()
		m.refusedSettings.Set(0)
		return
	}
	m.refusedReloads.Inc()
	m.refusedSettings.Set(1)
}

func (m *Metrics) settings() {
	reloads := m.counter("wsr_settings_reloads_total", "Times that the settings were read again, because of a SIGHUP or a file that had changed, by whether they could be used.", "outcome")
	m.reloads, m.refusedReloads = reloads.WithLabelValues("ok"), reloads.WithLabelValues("refused")
	m.refusedSettings = m.gauge("wsr_settings_invalid", "1 while settings were read that cannot be used, so that those of before stay, otherwise 0.")
}
