// Package endtoend holds tests of the whole: the Go client, a link that
// breaks, the proxy, and an app, over real sockets.
package endtoend
