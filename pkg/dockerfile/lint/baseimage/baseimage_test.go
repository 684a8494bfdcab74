package baseimage

import (
	"testing"
	"time"
)

func TestReferences(t *testing.T) {
	for name, want := range map[string]struct {
		python, distribution string
		floats, root         bool
		slim                 string
	}{
		"python:3.13":             {"3.13", "", false, true, "python:3.13-slim"},
		"python:3-bookworm":       {"", "Debian 12", true, true, "python:3.13-slim"},
		"python:3.13-slim-trixie": {"3.13", "Debian 13", false, true, ""},
		"mirror.example.com:5000/library/python:3.12.1": {"3.12", "", false, true, "mirror.example.com:5000/library/python:3.12.1-slim"},
		"acme/python:3.13": {"3.13", "", false, false, ""},
		"python@sha256:0":  {"", "", false, true, "python:3.13-slim"},
		"pypy:3.11":        {"", "", false, true, ""},
		"gcr.io/distroless/python3-debian12:nonroot": {"", "Debian 12", false, false, ""},
		"ubuntu:24.04":                                      {"", "Ubuntu 24.04", false, true, ""},
		"debian:stable-slim":                                {"", "", true, true, ""},
		"python:3.13-alpine3.22":                            {"3.13", "Alpine 3.22", false, true, ""},
		"registry.example.com:5000/base":                    {"", "", true, false, ""},
		"nvidia/cuda:11.8.0-runtime-ubuntu20.04":            {"", "Ubuntu 20.04", false, true, ""},
		"ghcr.io/astral-sh/uv:0.9.5-python3.13-trixie-slim": {"3.13", "Debian 13", false, true, ""},
	} {
		base := Parse(name)
		_, slim := base.Full()
		if got := base.Python(); got != want.python {
			t.Errorf("%s: Python is %q, want %q", name, got, want.python)
		}
		if got := base.Distribution(); got != want.distribution {
			t.Errorf("%s: distribution is %q, want %q", name, got, want.distribution)
		}
		if base.Floats() != want.floats || base.RunsAsRoot() != want.root || slim != want.slim {
			t.Errorf("%s: floats %t, root %t, slim %q, want %+v", name, base.Floats(), base.RunsAsRoot(), slim, want)
		}
	}
}

func TestSupportEnds(t *testing.T) {
	for version, day := range supportEnds() {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
	if _, ok := SupportEnd("Python 9.9"); ok {
		t.Error("an unknown version has an end")
	}
}
