// Anycable is a server of AnyCable with its broker, which keeps what clients missed,
// and beside it the app that it asks: an app that publishes to each client what that
// has said. It is a module of its own, since the product uses neither. Its clients
// are AnyCable's own, in clients.mjs.
//
//	anycable server 127.0.0.1:8080
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/anycable/anycable-go/cli"
)

func main() {
	if len(os.Args) != 3 || os.Args[1] != "server" {
		fmt.Fprintln(os.Stderr, "usage: anycable server ADDRESS")
		os.Exit(2)
	}
	if err := serve(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "anycable:", err)
		os.Exit(1)
	}
}

// success is the status of an answer to AnyCable that is none of an error.
const success = 1

// What a stream keeps for those who come back, and for how long a client may.
const (
	historySize    = "1000"
	historySeconds = "120"
)

// serve runs AnyCable at addr, and beside it the app that it asks.
func serve(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	app, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return err
	}
	publish, err := freePort(host)
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(app, newApp(fmt.Sprintf("http://%s:%d/_broadcast", host, publish))) }()
	config, err, _ := cli.NewConfigFromCLI([]string{
		"anycable-go", "--host=" + host, "--port=" + port, "--path=/cable", "--broker=memory", "--broadcast_adapter=http",
		"--http_broadcast_port=" + strconv.Itoa(publish), "--rpc_host=http://" + app.Addr().String() + "/rpc", "--log_level=warn",
		"--history_limit=" + historySize, "--history_ttl=" + historySeconds, "--sessions_ttl=" + historySeconds,
	})
	if err != nil {
		return err
	}
	runner, err := cli.NewRunner(config, []cli.Option{
		cli.WithName("AnyCable"), cli.WithDefaultRPCController(), cli.WithDefaultBroker(), cli.WithDefaultSubscriber(), cli.WithDefaultBroadcaster(),
	})
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return runner.Run()
}

func freePort(host string) (int, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// command is what AnyCable asks the app because of a message.
type command struct {
	Command    string `json:"command"`
	Identifier string `json:"identifier"`
	Data       string `json:"data"`
}

// newApp is an app that gives each client a stream of its own, and publishes there
// what the client says.
func newApp(broadcasts string) http.Handler {
	answer := func(w http.ResponseWriter, fields map[string]any) {
		fields["status"] = success
		_ = json.NewEncoder(w).Encode(fields)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rpc/connect", func(w http.ResponseWriter, r *http.Request) {
		welcome, _ := json.Marshal(map[string]string{"type": "welcome", "sid": r.Header.Get("x-anycable-meta-sid")}) // of strings
		answer(w, map[string]any{"identifiers": "{}", "transmissions": []string{string(welcome)}})
	})
	mux.HandleFunc("POST /rpc/disconnect", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{}) })
	mux.HandleFunc("POST /rpc/command", func(w http.ResponseWriter, r *http.Request) {
		var c command
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fields := map[string]any{}
		switch c.Command {
		case "subscribe":
			confirm, _ := json.Marshal(map[string]string{"type": "confirm_subscription", "identifier": c.Identifier}) // of strings
			fields["streams"], fields["transmissions"] = []string{c.Identifier}, []string{string(confirm)}
		case "message":
			if err := send(broadcasts, c.Identifier, c.Data); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		answer(w, fields)
	})
	return mux
}

func send(to, stream, data string) error {
	body, _ := json.Marshal(map[string]string{"stream": stream, "data": data}) // of strings
	resp, err := http.Post(to, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("broadcast: %s", resp.Status)
	}
	return nil
}
