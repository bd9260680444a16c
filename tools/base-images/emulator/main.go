// A local emulator of the Lambda endpoint, for the stand-in base images: starts the program it is given, serves it the
// Runtime API on 127.0.0.1:9001, and turns POST /2015-03-31/functions/function/invocations on port 8080 into events,
// one at a time. The public base images carry AWS's own Runtime Interface Emulator in this place.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	runtimeAddress = "127.0.0.1:9001"
	// The Runtime API's own limit each way (6 MiB + 100 bytes).
	maxPayload     = 6*1024*1024 + 100
	defaultTimeout = 300 * time.Second
	runtimePath    = "/2018-06-01/runtime/"
)

type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	answer   chan answer
}

type answer struct {
	status int
	body   []byte
}

type emulator struct {
	serial  sync.Mutex // one event at a time, as in one execution environment
	queue   chan *invocation
	exited  chan error
	mutex   sync.Mutex
	current *invocation
	timeout time.Duration
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: aws-lambda-rie PROGRAM [ARGUMENTS]")
	}
	log.SetFlags(log.LstdFlags | log.LUTC)
	e := &emulator{queue: make(chan *invocation), exited: make(chan error, 1), timeout: timeout()}
	runtimeListener, err := net.Listen("tcp", runtimeAddress)
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(runtimeListener, http.HandlerFunc(e.runtime))) }()
	go e.supervise(os.Args[1], os.Args[2:])
	log.Printf("Waiting for events at http://localhost:8080/2015-03-31/functions/function/invocations")
	log.Fatal(http.ListenAndServe(":8080", http.HandlerFunc(e.invoke)))
}

func timeout() time.Duration {
	if seconds, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_FUNCTION_TIMEOUT")); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	return defaultTimeout
}

// supervise runs the program, and again after an exit that failed an event; an exit while nothing was asked ends the container.
func (e *emulator) supervise(program string, arguments []string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	for {
		command := exec.Command(program, arguments...)
		command.Stdout, command.Stderr, command.Env = os.Stdout, os.Stderr, environment()
		if err := command.Start(); err != nil {
			log.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- command.Wait() }()
		select {
		case received := <-signals:
			_ = command.Process.Signal(received)
			<-done
			os.Exit(0)
		case err := <-done:
			if !e.failCurrent(err) {
				log.Fatalf("The runtime ended without an event: %v", err)
			}
		}
	}
}

func environment() []string {
	defaults := map[string]string{
		"AWS_LAMBDA_FUNCTION_NAME": "test_function", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3008", "AWS_REGION": "us-east-1", "LAMBDA_TASK_ROOT": "/var/task",
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/Functions", "AWS_LAMBDA_LOG_STREAM_NAME": "$LATEST",
	}
	result := append(os.Environ(), "AWS_LAMBDA_RUNTIME_API="+runtimeAddress)
	for name, value := range defaults {
		if os.Getenv(name) == "" {
			result = append(result, name+"="+value)
		}
	}
	return result
}

func (e *emulator) failCurrent(cause error) bool {
	status := "exit status 0"
	if cause != nil {
		status = cause.Error()
	}
	e.mutex.Lock()
	current := e.current
	e.mutex.Unlock()
	if current == nil {
		return false
	}
	body := fmt.Sprintf(`{"errorType":"Runtime.ExitError","errorMessage":"RequestId: %s Error: Runtime exited with error: %s"}`, current.id, status)
	e.settle(current.id, answer{http.StatusBadGateway, []byte(body)})
	return true
}

func (e *emulator) settle(id string, result answer) bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.current == nil || e.current.id != id {
		return false
	}
	e.current.answer <- result
	e.current = nil
	return true
}

func (e *emulator) invoke(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/") || !strings.HasSuffix(r.URL.Path, "/invocations") {
		http.NotFound(w, r)
		return
	}
	payload, err := readAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	e.serial.Lock()
	defer e.serial.Unlock()
	next := &invocation{id: uuid(), payload: payload, deadline: time.Now().Add(e.timeout), answer: make(chan answer, 1)}
	started := time.Now()
	log.Printf("START RequestId: %s Version: $LATEST", next.id)
	late := time.After(e.timeout)
	select {
	case e.queue <- next:
	case <-late:
		fmt.Fprintf(w, "Task timed out after %.2f seconds", e.timeout.Seconds())
		return
	}
	select {
	case result := <-next.answer:
		log.Printf("END RequestId: %s Duration: %.2f ms", next.id, float64(time.Since(started).Microseconds())/1000)
		w.WriteHeader(result.status)
		_, _ = w.Write(result.body)
	case <-late:
		e.settle(next.id, answer{})
		fmt.Fprintf(w, "Task timed out after %.2f seconds", e.timeout.Seconds())
	case <-r.Context().Done():
		e.settle(next.id, answer{})
	}
}

func (e *emulator) runtime(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, runtimePath)
	switch {
	case r.Method == http.MethodGet && path == "invocation/next":
		e.next(w, r)
	case r.Method == http.MethodPost && path == "init/error":
		body, _ := readAll(r.Body)
		log.Printf("Init error: %s", body)
		accepted(w)
	case r.Method == http.MethodPost && strings.HasPrefix(path, "invocation/"):
		id, verb, _ := strings.Cut(strings.TrimPrefix(path, "invocation/"), "/")
		body, err := readAll(r.Body)
		if err != nil {
			refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", err.Error())
			return
		}
		if (verb != "response" && verb != "error") || !e.settle(id, answer{http.StatusOK, body}) {
			refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
			return
		}
		accepted(w)
	default:
		http.NotFound(w, r)
	}
}

func (e *emulator) next(w http.ResponseWriter, r *http.Request) {
	e.mutex.Lock()
	event := e.current // asking again while one is running gets the same event again
	e.mutex.Unlock()
	if event == nil {
		select {
		case event = <-e.queue:
			e.mutex.Lock()
			e.current = event
			e.mutex.Unlock()
		case <-r.Context().Done():
			return
		}
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Lambda-Runtime-Aws-Request-Id", event.id)
	header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(event.deadline.UnixMilli(), 10))
	header.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:012345678912:function:test_function")
	header.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0")
	_, _ = w.Write(event.payload)
}

func readAll(body io.Reader) ([]byte, error) {
	bytes, err := io.ReadAll(io.LimitReader(body, maxPayload+1))
	if err == nil && len(bytes) > maxPayload {
		return nil, errors.New("Exceeded maximum allowed payload size (6291556 bytes).")
	}
	return bytes, err
}

func accepted(w http.ResponseWriter) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errorMessage":%q,"errorType":%q}`, message, kind)
}

func uuid() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		log.Fatal(err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
