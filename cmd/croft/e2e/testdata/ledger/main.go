// Command ledger keeps rows in a file: the program of the tests that ask whether
// data goes back together with its image. It acknowledges a row once it is on
// disk. Version 2 migrates the file in place when it starts, into a form that
// version 1 refuses to read; its fate is what happens then.
package main

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
)

const mark = "LEDGER2\n"

func main() {
	log.SetFlags(0)
	if len(os.Args) == 2 && os.Args[1] == "check" {
		res, err := http.Get("http://127.0.0.1:8080/healthz")
		if err != nil || res.StatusCode != http.StatusOK {
			log.Fatal("not healthy: ", err)
		}
		return
	}
	version := flag.Int("version", 1, "form of the file")
	fate := flag.String("fate", "well", "well, crash or sick")
	file := flag.String("file", "/data/rows", "where the rows are")
	flag.Parse()
	l := &ledger{file: *file, version: *version}
	if err := l.open(); err != nil {
		log.Print(err)
		os.Exit(4)
	}
	if *fate == "crash" {
		log.Print("the migration is done and the program fails")
		os.Exit(3)
	}
	http.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if *fate == "sick" {
			http.Error(w, "sick", http.StatusInternalServerError)
		}
	})
	http.HandleFunc("POST /rows", l.add)
	http.HandleFunc("GET /rows", l.all)
	log.Fatal(http.ListenAndServe(":8080", nil))
}

type ledger struct {
	mu      sync.Mutex
	file    string
	version int
}

// open reads the file, and migrates it where it is of the form before.
func (l *ledger) open() error {
	raw, err := os.ReadFile(l.file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	newer := bytes.HasPrefix(raw, []byte(mark))
	switch {
	case l.version == 1 && newer:
		return fmt.Errorf("%s was written by a newer version", l.file)
	case l.version == 2 && !newer:
		var out strings.Builder
		out.WriteString(mark)
		for _, row := range strings.Fields(string(raw)) {
			out.WriteString(base64.StdEncoding.EncodeToString([]byte(row)) + "\n")
		}
		return write(l.file, out.String(), os.O_TRUNC)
	}
	return nil
}

func write(path, text string, mode int) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|mode, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func (l *ledger) add(w http.ResponseWriter, r *http.Request) {
	row, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if l.version == 2 {
		row = []byte(base64.StdEncoding.EncodeToString(row))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := write(l.file, string(row)+"\n", os.O_APPEND); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

func (l *ledger) all(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	raw, err := os.ReadFile(l.file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, row := range strings.Fields(strings.TrimPrefix(string(raw), mark)) {
		if l.version == 2 {
			plain, err := base64.StdEncoding.DecodeString(row)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			row = string(plain)
		}
		fmt.Fprintln(w, row)
	}
}
