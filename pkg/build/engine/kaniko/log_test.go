package kaniko

import (
	"reflect"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
)

func TestParseLine(t *testing.T) {
	for text, want := range map[string]engine.Line{
		`time="2026-01-02T03:04:05Z" level=info msg="RUN echo \"a\\tb\""`: {Level: "info", Message: `RUN echo "a\tb"`},
		`time="2026-01-02T03:04:05Z" level=warning msg=short`:             {Level: "warning", Message: "short"},
		`time="2026-01-02T03:04:05Z" level=info msg=`:                     {Level: "info", Message: "", Chatter: true},
		`time="x" level=info msg="Taking snapshot of files..."`:           {Level: "info", Message: "Taking snapshot of files...", Chatter: true, Activity: "taking a snapshot of the files"},
		`time="x" level=error msg="Taking snapshot of files..."`:          {Level: "error", Message: "Taking snapshot of files...", Activity: "taking a snapshot of the files"},
		`Taking snapshot of files...`:                                     {Message: "Taking snapshot of files..."},
		`Collecting fastapi==0.115.0`:                                     {Message: "Collecting fastapi==0.115.0"},
		`prefix time="x" level=info msg="not the engine's"`:               {Message: `prefix time="x" level=info msg="not the engine's"`},
		"": {},
		`time="x" level=info msg="Retrieving image manifest python:3"`: {
			Level: "info", Message: "Retrieving image manifest python:3", Chatter: true, Base: "python:3", Activity: "looking up python:3",
		},
		`time="x" level=info msg="Using caching version of cmd: COPY a b"`: {
			Level: "info", Message: "Using caching version of cmd: COPY a b", Chatter: true, Cached: "COPY a b",
		},
		`time="x" level=info msg="Unpacking rootfs as cmd RUN pip install x requires it."`: {
			Level: "info", Message: "Unpacking rootfs as cmd RUN pip install x requires it.", Chatter: true, Activity: "unpacking the base image",
		},
		`time="x" level=info msg="Saving file opt/venv for later use"`: {
			Level: "info", Message: "Saving file opt/venv for later use", Chatter: true, Activity: "keeping /opt/venv for a later stage",
		},
		`time="x" level=warning msg="Failed to retrieve image a:1 from remapped registry m:5000: GET http://m:5000/v2/: MANIFEST_UNKNOWN: x. Will try"`: {
			Level: "warning", Message: "Failed to retrieve image a:1 from remapped registry m:5000: GET http://m:5000/v2/: MANIFEST_UNKNOWN: x. Will try", Lacks: "m:5000",
		},
		`time="x" level=info msg="Running: [/bin/sh -c sleep 9]"`: {
			Level: "info", Message: "Running: [/bin/sh -c sleep 9]", Chatter: true, Runs: true,
		},
		`time="x" level=info msg="Pushing image to r/a:b"`: {
			Level: "info", Message: "Pushing image to r/a:b", Chatter: true, Pushing: "r/a:b",
		},
		`time="x" level=info msg="Pushing layer r/a/cache:0 to cache now"`: {
			Level: "info", Message: "Pushing layer r/a/cache:0 to cache now", Chatter: true, Activity: "pushing the layer to the cache", Background: true,
		},
		`error building image: error building stage: failed to execute command: waiting for process to exit: exit status 4`: {
			Message: "error building image: error building stage: failed to execute command: waiting for process to exit: exit status 4", Exit: 4,
		},
		`error building image: error building stage: failed to execute command: waiting for process to exit: signal: killed`: {
			Message: "error building image: error building stage: failed to execute command: waiting for process to exit: signal: killed", Exit: 137,
		},
		`error building image: error building stage: failed to get filesystem from image: exit status 4`: {
			Message: "error building image: error building stage: failed to get filesystem from image: exit status 4",
		},
	} {
		if got := (Engine{}).ParseLine(text); !reflect.DeepEqual(got, want) {
			t.Errorf("ParseLine(%q) = %+v, want %+v", text, got, want)
		}
	}
}

func TestDiagnose(t *testing.T) {
	for text, want := range map[string]engine.Diagnosis{
		"error building image: unable to complete operation after 3 attempts, last error: GET https://index.docker.io/v2/library/x/manifests/1: MANIFEST_UNKNOWN: manifest unknown": {
			Pull: true, Message: "there is no such base image",
		},
		"error building image: unable to complete operation after 3 attempts, last error: GET https://auth.docker.io/token: unexpected status code 401 Unauthorized: authentication required": {
			Pull: true, Message: "the base image is private, or does not exist",
		},
		`error building image: unable to complete operation after 3 attempts, last error: Get "https://index.docker.io/v2/": dial tcp: lookup index.docker.io on 10.96.0.10:53: no such host`: {
			Pull: true, Message: `the cluster cannot reach the registry of the base image: Get "https://index.docker.io/v2/": dial tcp: lookup index.docker.io on 10.96.0.10:53: no such host`,
		},
		"error building image: error building stage: failed to execute command: secret not defined: pip.conf": {
			Message: "it needs the secret pip.conf, which the build was not given",
		},
		"error building image: error building stage: failed to execute command: starting command: fork/exec /kaniko/tini: no such file or directory": {
			Message: "the image has no /bin/sh, by which a RUN gets what setup was given with --build-env and --build-ca",
		},
		`error building image: Get "https://r/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority`: {
			Pull: true, Message: "the certificate of the base image's registry is not trusted",
		},
		"error building image: failed to optimize instructions: failed to get files used from context: failed to get fileinfo for /kaniko/buildcontext/a/b: lstat /kaniko/buildcontext/a/b: no such file or directory": {
			Missing: "a/b", Message: "a/b is not in the build context",
		},
		"error building image: failed to optimize instructions: failed to get files used from context: failed to get relative files: lstat /kaniko/buildcontext/./a/../b: no such file or directory": {
			Missing: "b", Message: "b is not in the build context",
		},
		"error building image: error building stage: failed to execute command: failed to get fileinfo for /kaniko/deps/0/opt/x: lstat /kaniko/deps/0/opt/x: no such file or directory": {
			Missing: "opt/x", Elsewhere: true, Message: "opt/x is not in the stage or the image that it is copied from",
		},
		"error building image: error building stage: failed to execute command: lstat /kaniko/deps/ghcr.io/astral-sh/uv:0.8/uvy: no such file or directory": {
			Missing: "ghcr.io/astral-sh/uv:0.8/uvy", Elsewhere: true, Message: "ghcr.io/astral-sh/uv:0.8/uvy is not in the stage or the image that it is copied from",
		},
		"error building image: unable to complete operation after 3 attempts, last error: GET https://index.docker.io/v2/library/python/manifests/3: TOOMANYREQUESTS: You have reached your unauthenticated pull rate limit": {
			Pull: true, Message: "the registry of the base image allows no more pulls for now",
		},
		"error building image: GET https://ghcr.io/v2/a/b/manifests/1: DENIED: requested access to the resource is denied": {
			Pull: true, Message: "the base image is private, or does not exist",
		},
		`time="x" level=panic msg="Assertion violated [a.b]: 1 file(s)"`:   {Message: "Kaniko crashed: Assertion violated [a.b]: 1 file(s)"},
		"github.com/osscontainertools/kaniko/pkg/executor.DoBuild(0xc000)": {Message: "Kaniko crashed: a fault in its code"},
		`error building image: Get "https://r/v2/": dial tcp 10.0.0.1:443: connect: connection refused`: {
			Pull: true, Message: `the cluster cannot reach the registry of the base image: Get "https://r/v2/": dial tcp 10.0.0.1:443: connect: connection refused`,
		},
	} {
		got, ok := (Engine{}).Diagnose(text)
		if !ok || got.Advice == "" || got.Pull != want.Pull || got.Missing != want.Missing || got.Elsewhere != want.Elsewhere || got.Message != want.Message {
			t.Errorf("Diagnose(%q) = %+v, %t", text, got, ok)
		}
	}
	for _, text := range []string{
		"error building image: error building stage: failed to execute command: waiting for process to exit: exit status 7",
		// A command's own words are not the engine's.
		"error building image: error building stage: failed to execute command: curl: (6) no such host",
		"error building image: error building stage: failed to execute command: MANIFEST_UNKNOWN",
		"error building image: invalid argument", "error building image: ",
		"lstat /kaniko/buildcontext/a: no such file or directory",
		"MANIFEST_UNKNOWN", "",
	} {
		if got, ok := (Engine{}).Diagnose(text); ok {
			t.Errorf("Diagnose(%q) = %+v", text, got)
		}
	}
}

func TestParseStage(t *testing.T) {
	line := (Engine{}).ParseLine(`time="x" level=info msg="Building stage 'python:3.13-slim' [idx: '3', base-idx: '-1']"`)
	if line.Stage == nil || *line.Stage != (engine.Stage{Number: 3, Base: -1}) || !line.Chatter {
		t.Errorf("got %+v", line)
	}
}
