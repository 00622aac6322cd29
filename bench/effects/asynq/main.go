// SPDX-FileCopyrightText: 2026 The Tickrelay engineers
// SPDX-License-Identifier: Apache-2.0

// asynq: puts tasks on its queue, carries them out (a byte appended to a file each), and prints when.
package main

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	address, path := os.Args[1], os.Args[2]
	number, err := strconv.Atoi(os.Args[3])
	must(err)
	redis := asynq.RedisClientOpt{Addr: address}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	must(err)
	client := asynq.NewClient(redis)
	body := make([]byte, 200)
	for n := 0; n < number; n++ {
		_, err := client.Enqueue(asynq.NewTask("effect", body))
		must(err)
	}
	var lock sync.Mutex
	var first, last time.Time
	count := 0
	ended := make(chan struct{})
	server := asynq.NewServer(redis, asynq.Config{Concurrency: 50, LogLevel: asynq.FatalLevel})
	mux := asynq.NewServeMux()
	mux.HandleFunc("effect", func(context.Context, *asynq.Task) error {
		if _, err := file.Write([]byte(".")); err != nil {
			return err
		}
		lock.Lock()
		defer lock.Unlock()
		last = time.Now()
		if count == 0 {
			first = last
		}
		if count++; count == number {
			close(ended)
		}
		return nil
	})
	must(server.Start(mux))
	<-ended
	seconds := func(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
	must(json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"count": float64(count), "first": seconds(first), "last": seconds(last)}))
	os.Exit(0)
}
