package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAnswersWithTheRequest(t *testing.T) {
	s := httptest.NewServer(handler())
	defer s.Close()
	req, err := http.NewRequest(http.MethodPut, s.URL+"/a/b?c=d", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "app.example.com"
	req.Header.Set("Remote-User", "ada")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got answer
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Method != "PUT" || got.Host != "app.example.com" || got.Path != "/a/b?c=d" || got.RemoteAddr == "" {
		t.Errorf("answer = %+v", got)
	}
	if u := got.Headers["Remote-User"]; len(u) != 1 || u[0] != "ada" {
		t.Errorf("headers = %v", got.Headers)
	}
}

func TestCheck(t *testing.T) {
	s := httptest.NewServer(handler())
	if err := run([]string{"check", s.URL + "/healthz"}, nil); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := run([]string{"check", s.URL + "/healthz"}, nil); err == nil {
		t.Error("a closed server passed the check")
	}
}

func TestDialTellsEveryTarget(t *testing.T) {
	s := httptest.NewServer(handler())
	defer s.Close()
	gone := httptest.NewServer(handler())
	gone.Close()
	open, closed := s.Listener.Addr().String(), gone.Listener.Addr().String()
	var out bytes.Buffer
	if err := run([]string{"dial", open, closed}, &out); err != nil {
		t.Fatal(err)
	}
	if want := "open " + open + "\nclosed " + closed + "\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestUnknownCommand(t *testing.T) {
	err := run([]string{"sing"}, nil)
	if err == nil || !strings.Contains(err.Error(), "sing") {
		t.Errorf("error = %v", err)
	}
}
