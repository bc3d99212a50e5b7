// Package documented holds a test: what README, docs and the programs' own help tell
// people to type exists, down to flags, settings, values of the chart, targets of
// make, files and scripts.
package documented
