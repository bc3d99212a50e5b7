//go:build !unix

package rehearse

// checkDescriptors knows of no limit here.
func checkDescriptors(int) error { return nil }
