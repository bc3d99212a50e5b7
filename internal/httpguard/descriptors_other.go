//go:build !unix

package httpguard

func descriptorLimit() int { return 0 }
