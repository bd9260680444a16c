// The server of the tests of services: it tells what it sees of its surroundings and does what a request asks of it.
// HTTP/1.1 and, on the same port, HTTP/2 without TLS. Its settings are variables: see the first lines of main.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	instance = rand.Text()[:8]
	served   atomic.Int64
	active   atomic.Int64
	peak     atomic.Int64
	healthy  atomic.Bool
	ready    atomic.Bool
)

func main() {
	log.SetFlags(0)
	log.SetPrefix(instance + " ")
	if code, err := strconv.Atoi(os.Getenv("EXIT_AT_START")); err == nil {
		log.Printf("told to exit with %d", code)
		os.Exit(code)
	}
	if content, set := os.LookupEnv("WRITE_AT_START"); set {
		path, text, _ := strings.Cut(content, "=")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	time.Sleep(milliseconds(os.Getenv("START_MS")))
	healthy.Store(true)
	ready.Store(os.Getenv("READY") != "no")
	log.Print("started")
	serve()
}

func serve() {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	port := os.Getenv("LISTEN_PORT")
	if port == "" {
		port = os.Getenv("PORT")
	}
	server := &http.Server{Addr: ":" + port, Handler: routes(), Protocols: protocols}
	stop, done := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer done()
	ended := make(chan struct{})
	go func() {
		<-stop.Done()
		log.Printf("SIGTERM after %d requests, %d active", served.Load(), active.Load())
		if os.Getenv("IGNORE_SIGTERM") != "" {
			select {}
		}
		server.Shutdown(context.Background())
		log.Print("ended")
		close(ended)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-ended
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", tell)
	mux.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(milliseconds(r.FormValue("ms"))):
			tell(w, r)
		case <-r.Context().Done():
			log.Print("the client left")
		}
	})
	mux.HandleFunc("/status", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.FormValue("code"))
		http.Error(w, "told to", code)
	})
	mux.HandleFunc("/file", file)
	mux.HandleFunc("/allocate", allocate)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/trailers", trailers)
	mux.HandleFunc("/flood", flood)
	mux.HandleFunc("/fetch", fetch)
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	mux.HandleFunc("/log", func(_ http.ResponseWriter, r *http.Request) { log.Print(r.FormValue("text")) })
	mux.HandleFunc("/health", check(&healthy))
	mux.HandleFunc("/ready", check(&ready))
	mux.HandleFunc("/set", func(_ http.ResponseWriter, r *http.Request) {
		if value := r.FormValue("healthy"); value != "" {
			healthy.Store(value == "yes")
		}
		if value := r.FormValue("ready"); value != "" {
			ready.Store(value == "yes")
		}
	})
	return count(mux)
}

// Probes are not counted: they are the platform's.
func count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" || r.URL.Path == "/ready" {
			next.ServeHTTP(w, r)
			return
		}
		served.Add(1)
		now := active.Add(1)
		for before := peak.Load(); now > before && !peak.CompareAndSwap(before, now); before = peak.Load() {
		}
		defer active.Add(-1)
		next.ServeHTTP(w, r)
	})
}

func tell(w http.ResponseWriter, r *http.Request) {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"revision": os.Getenv("K_REVISION"), "instance": instance, "served": served.Load(), "active": active.Load(), "peak": peak.Load(),
		"method": r.Method, "path": r.URL.RequestURI(), "host": r.Host, "proto": r.Proto, "headers": r.Header, "body": string(body),
		"env": env, "args": os.Args[1:],
	})
}

// GET reads the file at ?path, PUT writes the body to it.
func file(w http.ResponseWriter, r *http.Request) {
	path := r.FormValue("path")
	var err error
	var content []byte
	if r.Method == "PUT" {
		if content, err = io.ReadAll(r.Body); err == nil {
			err = os.WriteFile(path, content, 0o644)
		}
	} else {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(content)
}

// Writes so many MiB to a file in memory.
func allocate(w http.ResponseWriter, r *http.Request) {
	mib, _ := strconv.Atoi(r.FormValue("mib"))
	f, err := os.Create(r.FormValue("path"))
	block := make([]byte, 1<<20)
	for ; err == nil && mib > 0; mib-- {
		_, err = f.Write(block)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInsufficientStorage)
		return
	}
	fmt.Fprintln(w, "written")
}

// Each piece of the body goes back as soon as it is there.
func echo(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	control.EnableFullDuplex()
	w.WriteHeader(http.StatusOK)
	control.Flush()
	piece := make([]byte, 64<<10)
	for {
		n, err := r.Body.Read(piece)
		if n > 0 {
			w.Write(piece[:n])
			control.Flush()
		}
		if err != nil {
			return
		}
	}
}

func trailers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Sum")
	size, _ := io.Copy(w, r.Body)
	// Else it is short enough for a Content-Length, with which HTTP/1.1 has no trailers.
	http.NewResponseController(w).Flush()
	w.Header().Set("X-Sum", strconv.FormatInt(size, 10))
	w.Header().Set("X-Saw", r.Trailer.Get("X-Mine"))
}

func flood(w http.ResponseWriter, r *http.Request) {
	mib, _ := strconv.Atoi(r.FormValue("mib"))
	block := []byte(strings.Repeat("0123456789abcdef", 1<<16))
	for ; mib > 0; mib-- {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// Asks ?url and hands on what it answers; ?header is NAME:VALUE.
func fetch(w http.ResponseWriter, r *http.Request) {
	asked, err := http.NewRequest("GET", r.FormValue("url"), nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if name, value, given := strings.Cut(r.FormValue("header"), ":"); given {
		asked.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(asked)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	io.Copy(w, answer.Body)
}

func check(state *atomic.Bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if !state.Load() {
			http.Error(w, "not well", http.StatusServiceUnavailable)
		}
	}
}

func milliseconds(text string) time.Duration {
	number, _ := strconv.Atoi(text)
	return time.Duration(number) * time.Millisecond
}
