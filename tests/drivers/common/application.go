// Package main of the Go programs: the loop, see ../README.md. One answer for each command.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	copyOut = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT"
	copyIn  = "COPY copied FROM STDIN"
)

type answer map[string]interface{}

// What a driver's program gives. Commands that it has not are answered by "unsupported".
type application interface {
	version() string
	commands() map[string]func() error
	describe(err error) answer
	openPool(size int) error
	usePool() error
}

var input = bufio.NewScanner(os.Stdin)

func say(said answer) {
	line, err := json.Marshal(said)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func nextCommand() ([]string, bool) {
	if !input.Scan() {
		return nil, false
	}
	return strings.Fields(input.Text()), true
}

func report(app application, err error) answer {
	said := app.describe(err)
	said["ok"] = false
	said["message"] = err.Error()
	return said
}

func use(app application, count int) answer {
	said := answer{"ok": false, "failed": 0}
	for failed := 0; count > 0; count-- {
		err := app.usePool()
		said["ok"] = err == nil
		if err != nil {
			failed++
			said["failed"] = failed
			said["error"] = report(app, err)
		}
	}
	return said
}

func carryOut(app application, words []string) answer {
	number := 0
	if len(words) > 1 {
		number, _ = strconv.Atoi(words[1])
	}
	var err error
	switch words[0] {
	case "version":
		return answer{"ok": true, "version": app.version()}
	case "use":
		return use(app, number)
	case "pool":
		err = app.openPool(number)
	default:
		command, known := app.commands()[words[0]]
		if !known {
			return answer{"unsupported": true}
		}
		err = command()
	}
	if err != nil {
		return report(app, err)
	}
	return answer{"ok": true}
}

func serve(app application) {
	for words, more := nextCommand(); more; words, more = nextCommand() {
		say(carryOut(app, words))
	}
}
