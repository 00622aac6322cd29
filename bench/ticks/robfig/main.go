// SPDX-FileCopyrightText: 2026 The Tickrelay engineers
// SPDX-License-Identifier: Apache-2.0

// robfig/cron with a lock in Redis for each tick, the usual way to run two replicas: whoever gets the lock does the work.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/robfig/cron/v3"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	address, path := os.Args[1], os.Args[2]
	client := redis.NewClient(&redis.Options{Addr: address})
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	must(err)
	scheduler := cron.New(cron.WithSeconds(), cron.WithLocation(time.UTC))
	_, err = scheduler.AddFunc("* * * * * *", func() {
		tick := time.Now().Truncate(time.Second).Unix()
		key := fmt.Sprintf("lock:ticks:%d", tick)
		won, err := client.SetNX(context.Background(), key, os.Getpid(), time.Minute).Result()
		if err != nil || !won {
			return
		}
		began := float64(time.Now().UnixNano()) / 1e9
		_, err = fmt.Fprintf(file, "%d %.6f\n", tick, began)
		must(err)
	})
	must(err)
	scheduler.Run()
}
