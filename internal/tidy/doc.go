// Package tidy holds the house rules that a machine can check, as tests: the
// table of imports, what pure packages may not use, the length of files,
// fuzz corpora, the links of the documentation, what code cites, and the
// generated tables.
//
// A failure names the file and the rule. To rewrite the generated tables:
//
//	go test ./internal/tidy -run Generated -update
package tidy
