// Does what an event's "do" says: the behaviours of ../cases.ts in Go.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do      string   `json:"do"`
	Value   any      `json:"value"`
	Text    string   `json:"text"`
	Size    int      `json:"size"`
	Code    int      `json:"code"`
	Chunks  []string `json:"chunks"`
	PauseMs int      `json:"pauseMs"`
	Repeat  int      `json:"repeat"`
}

type refused struct{ message string }

func (r refused) Error() string { return r.message }

var count = 0

func handle(ctx context.Context, e event) (any, error) {
	count++
	switch e.Do {
	case "echo":
		return e.Value, nil
	case "nothing":
		return nil, nil
	case "count":
		return count, nil
	case "length":
		return len(e.Text), nil
	case "big":
		return strings.Repeat("x", e.Size), nil
	case "context":
		return contextValues(ctx), nil
	case "error":
		return nil, refused{"told to fail"}
	case "panic":
		panic("told to panic")
	case "crash":
		// Outside of the handler's own goroutine nobody recovers it.
		go func() { panic("told to crash") }()
		select {}
	case "exit":
		os.Exit(e.Code)
	case "hang":
		time.Sleep(time.Minute)
	case "log":
		fmt.Println(e.Text, "to stdout")
		fmt.Fprintln(os.Stderr, e.Text, "to stderr")
		logger := lambdacontext.NewLogger()
		logger.DebugContext(ctx, e.Text+" at debug")
		logger.InfoContext(ctx, e.Text+" at info")
		logger.ErrorContext(ctx, e.Text+" at error")
		return "logged", nil
	case "stream", "stream-error":
		return stream(e), nil
	}
	return nil, fmt.Errorf("no such action: %s", e.Do)
}

func stream(e event) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		for range max(e.Repeat, 1) {
			for _, chunk := range e.Chunks {
				_, _ = io.WriteString(writer, chunk)
				time.Sleep(time.Duration(e.PauseMs) * time.Millisecond)
			}
		}
		if e.Do == "stream-error" {
			_ = writer.CloseWithError(refused{"told to fail midway"})
		} else {
			_ = writer.Close()
		}
	}()
	return reader
}

func contextValues(ctx context.Context) map[string]any {
	values, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	environment := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		environment[name] = value
	}
	return map[string]any{
		"requestId":       values.AwsRequestID,
		"remainingMs":     time.Until(deadline).Milliseconds(),
		"functionArn":     values.InvokedFunctionArn,
		"functionName":    lambdacontext.FunctionName,
		"functionVersion": lambdacontext.FunctionVersion,
		"memoryMiB":       lambdacontext.MemoryLimitInMB,
		"logGroup":        lambdacontext.LogGroupName,
		"logStream":       lambdacontext.LogStreamName,
		"appTitle":        values.ClientContext.Client.AppTitle,
		"colour":          values.ClientContext.Custom["colour"],
		"traceId":         os.Getenv("_X_AMZN_TRACE_ID"),
		"environment":     environment,
	}
}

func main() {
	switch os.Getenv("INIT") {
	case "error":
		panic(refused{"told to fail at init"})
	case "exit":
		os.Exit(3)
	}
	lambda.Start(handle)
}
