package secret

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestCheckArgument(t *testing.T) {
	for argument, kind := range map[string]string{
		"VERSION=1.2": "",
		"A=":          "",
		"PIP_INDEX_URL=https://pypi.example.com/simple":          "",
		"PIP_INDEX_URL=https://pypi.example.com/simple?at=x@y":   "",
		"REPO=ssh://git@git.example.com/team/api":                "",
		"REPO=git@git.example.com:team/api":                      "",
		"INDEX=https://${USER}:${PASSWORD}@pypi.example.com":     "",
		"MAIL=dev@example.com":                                   "",
		"PIP_INDEX_URL=https://me:hunter2x@pypi.example.com":     "credentials in a URL",
		"PIP_INDEX_URL=HTTPS://me:hunter2x@pypi.example.com":     "credentials in a URL",
		"PIP_INDEX_URL=https://t0k3n@pypi.example.com/simple":    "credentials in a URL",
		"PIP_INDEX_URL=https://:hunter2x@pypi.example.com":       "credentials in a URL",
		"X=https://a.example.com/s https://u:hunter2x@b.example": "credentials in a URL",
		"X=https://a.example.com/s,https://u:hunter2x@b.example": "credentials in a URL",
		"X=a\nhttps://u:hunter2x@b.example":                      "credentials in a URL",
		"X=git+https://hunter2x@b.example/x.git":                 "credentials in a URL",
		"DB=postgres://app:hunter2x@db/app":                      "what looks like a password or a token",
		"T=ghp_abcdefghijklmnopqrstuvwxyz0123456789":             "what looks like a password or a token",
	} {
		err := CheckArgument(argument)
		var found *ArgumentError
		if errors.As(err, &found) != (kind != "") || found != nil && found.Kind != kind {
			t.Errorf("%q: %v, want %q", argument, err, kind)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2x") || strings.Contains(err.Error(), "t0k3n") || strings.Contains(err.Error(), "ghp_")) {
			t.Errorf("the error repeats the value: %v", err)
		}
	}
	if got := Arguments([]string{"A=1", "B=https://u:hunter2x@h", "C=2", "D=https://t@h"}); !slices.Equal(got, []string{"B", "D"}) {
		t.Errorf("Arguments: %q", got)
	}
}

func TestInVariable(t *testing.T) {
	for text, want := range map[string]bool{
		"LOG_LEVEL=debug": false, "API_TOKEN=": false, "USE_TOKEN=true": false, "TOKEN_URL=https://h/token": false,
		"DATABASE_URL=postgres://db/app": false, "DATABASE_URL=postgres://app:hunter2x@db/app": true, "DB_PASSWORD=x1": true,
	} {
		if name, value, _ := strings.Cut(text, "="); InVariable(name, value) != want {
			t.Errorf("%s: %t", text, !want)
		}
	}
}
