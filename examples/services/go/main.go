// A web server of Go's standard library alone: HTTP/1.1 and, on the same port, HTTP/2 without TLS.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello from %s over %s\n", os.Getenv("K_REVISION"), r.Proto)
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: ":" + port, Protocols: protocols}
	stop, done := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer done()
	ended := make(chan struct{})
	go func() {
		<-stop.Done()
		// Requests in flight end first.
		server.Shutdown(context.Background())
		close(ended)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-ended
}
