package main

import (
	"context"
	"fmt"

	"github.com/wsresilience/wsresilience/internal/lab"
)

// tenant shares NATS with the sidecars, where it may do everything, and has none of
// their keys.
func tenant(ctx context.Context, s *stage) error {
	t, err := lab.NewTenant(s.nats.URL())
	if err != nil {
		return err
	}
	err = t.Run(ctx)
	fmt.Printf("tenant: %d rounds, granted: %v\n", t.Rounds, t.Granted)
	return err
}
