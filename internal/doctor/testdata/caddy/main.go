// Caddy is the web server, for make doctor-cases. It is a module of its own, since the
// product does not use it.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
