//go:build !modernc

package main

import (
	"time"

	"github.com/ncruces/go-sqlite3"
)

func init() { drivers = append(drivers, driver{"ncruces", openNcruces}) }

// openNcruces uses the driver's own interface, as client/outbox does.
func openNcruces(path string, full bool) (func(int64, []byte) error, func() error, error) {
	db, err := sqlite3.Open("file:" + path)
	if err != nil {
		return nil, nil, err
	}
	for _, sql := range pragmas(full) {
		if err := db.Exec(sql); err != nil {
			return nil, nil, err
		}
	}
	var list []*sqlite3.Stmt
	for _, sql := range []string{"BEGIN IMMEDIATE", insert, "COMMIT"} {
		stmt, _, err := db.Prepare(sql)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, stmt)
	}
	put := func(position int64, payload []byte) error {
		if err := list[0].Exec(); err != nil {
			return err
		}
		stmt := list[1]
		if err := stmt.BindInt64(1, position); err != nil {
			return err
		}
		if err := stmt.BindBlob(2, payload); err != nil {
			return err
		}
		if err := stmt.BindInt64(3, time.Now().UnixMilli()); err != nil {
			return err
		}
		if err := stmt.Exec(); err != nil {
			return err
		}
		return list[2].Exec()
	}
	done := func() error {
		for _, stmt := range list {
			if err := stmt.Close(); err != nil {
				return err
			}
		}
		return db.Close()
	}
	return put, done, nil
}
