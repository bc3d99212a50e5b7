// Package model is a model of resume, adoption, fence, stall and hand-over in Promela
// (session.pml), and a test that spin has it keep its promises: README.md. The test
// needs spin and gcc, and the build tag spin.
package model
