// Package packaging holds what a release is made of beside the programs: packages
// with systemd units, the Homebrew formula, and the script that builds them all.
// Its tests hold them against the programs; test-deb.sh installs the package.
package packaging
