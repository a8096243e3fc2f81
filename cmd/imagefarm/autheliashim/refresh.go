package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// outdated says whether the session behind an answer of the real program tells
// of a user as he no longer is. 4.39 looks every user up again for each
// request when it watches the users file; 4.37 keeps what it saw at sign-in.
// The shim then asks again without the session: who is gone or disabled is a
// stranger at once, as in 4.39, and whose groups changed signs in again, where
// 4.39 would go on with the new groups.
func (f front) outdated(answer http.Header) (bool, error) {
	user := answer.Get("Remote-User")
	if user == "" || f.usersFile == "" {
		return false, nil
	}
	text, err := os.ReadFile(f.usersFile)
	if err != nil {
		return false, err
	}
	var file struct {
		Users map[string]struct {
			Disabled bool     `yaml:"disabled"`
			Groups   []string `yaml:"groups"`
		} `yaml:"users"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return false, fmt.Errorf("%s: %w", f.usersFile, err)
	}
	now, there := file.Users[user]
	if !there || now.Disabled {
		return true, nil
	}
	groups := slices.DeleteFunc(strings.Split(answer.Get("Remote-Groups"), ","), func(g string) bool { return g == "" })
	return !sameSet(groups, now.Groups), nil
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// watchedUsers is the users file of a configuration that watches it.
func watchedUsers(out map[string]any) string {
	backend, _ := out["authentication_backend"].(map[string]any)
	file, _ := backend["file"].(map[string]any)
	path, _ := file["path"].(string)
	if fmt.Sprint(file["watch"]) != "true" {
		return ""
	}
	return path
}
