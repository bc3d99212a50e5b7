//go:build !ncruces

package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	_ "modernc.org/sqlite"
)

func init() { drivers = append(drivers, driver{"modernc", openModernc}) }

// openModernc uses database/sql, which is this driver's only interface, on one
// connection.
func openModernc(path string, full bool) (func(int64, []byte) error, func() error, error) {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return nil, nil, err
	}
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range pragmas(full) {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return nil, nil, err
		}
	}
	var list []*sql.Stmt
	for _, s := range []string{"BEGIN IMMEDIATE", insert, "COMMIT"} {
		stmt, err := conn.PrepareContext(ctx, s)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, stmt)
	}
	put := func(position int64, payload []byte) error {
		if _, err := list[0].ExecContext(ctx); err != nil {
			return err
		}
		if _, err := list[1].ExecContext(ctx, position, payload, time.Now().UnixMilli()); err != nil {
			return err
		}
		_, err := list[2].ExecContext(ctx)
		return err
	}
	return put, func() error { return errors.Join(conn.Close(), db.Close()) }, nil
}
