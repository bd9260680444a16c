package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Text string `json:"text"`
}

type answer struct {
	Reversed string `json:"reversed"`
	Function string `json:"function"`
}

func handle(_ context.Context, e event) (answer, error) {
	if e.Text == "" {
		return answer{}, fmt.Errorf("the event has no text")
	}
	runes := []rune(e.Text)
	slices.Reverse(runes)
	return answer{Reversed: string(runes), Function: lambdacontext.FunctionName}, nil
}

func main() {
	lambda.Start(handle)
}
