package kaniko

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
)

// fatal starts the last line of Kaniko, which has the reason.
const fatal = "error building image: "

// What go-containerregistry and the network write about a pull. The codes are those of
// the OCI distribution specification.
var (
	unknownImage = regexp.MustCompile(`MANIFEST_UNKNOWN|NAME_UNKNOWN|NOT_FOUND|manifest unknown|: 404 |status code 404`)
	deniedImage  = regexp.MustCompile(`UNAUTHORIZED|DENIED|authentication required|: 40[13] |status code 40[13]`)
	limitedImage = regexp.MustCompile(`TOOMANYREQUESTS|: 429 |status code 429`)
	badAuthority = regexp.MustCompile(`x509: |tls: failed to verify`)
	unreachable  = regexp.MustCompile(`no such host|connection refused|i/o timeout|no route to host|network is unreachable|context deadline exceeded|server misbehaving|connection reset`)
	noSecret     = regexp.MustCompile(`failed to execute command: secret not defined: ([A-Za-z0-9_.-]+)$`)
	missingFile  = regexp.MustCompile(`lstat (\S+): no such file or directory`)
	noShell      = regexp.MustCompile(`fork/exec /kaniko/tini: no such file or directory$`)
	otherStage   = regexp.MustCompile(`^/kaniko/deps/(?:\d+/)?`)
)

const contextDir = "/kaniko/buildcontext/"

// Diagnose reads the line with which Kaniko ends.
func (Engine) Diagnose(line string) (diagnosis engine.Diagnosis, ok bool) {
	if match := ownLine.FindStringSubmatch(line); match != nil && match[1] == "panic" || strings.HasPrefix(line, ownCode) {
		return engine.Diagnosis{
			Crash:   true,
			Message: Engine{}.Name() + " crashed: " + crashReason(match),
			Advice:  "build again with --no-cache, which often avoids it; if that fails, too, collect what a report needs: kubectl pyflow gather",
		}, true
	}
	reason, ok := strings.CutPrefix(line, fatal)
	if !ok {
		return engine.Diagnosis{}, false
	}
	pull := func(message, advice string) (engine.Diagnosis, bool) {
		return engine.Diagnosis{Pull: true, Message: message, Advice: advice}, true
	}
	stage := strings.Contains(reason, "error building stage")
	switch {
	case !stage && unknownImage.MatchString(reason):
		return pull("there is no such base image", "check its name and its tag")
	case !stage && deniedImage.MatchString(reason):
		return pull("the base image is private, or does not exist", "check its name; for a private image use a mirror that the builds may read: kubectl pyflow setup --image-mirror")
	case !stage && limitedImage.MatchString(reason):
		return pull("the registry of the base image allows no more pulls for now", "wait, or use a mirror: kubectl pyflow setup --image-mirror")
	case !stage && badAuthority.MatchString(reason):
		return pull("the certificate of the base image's registry is not trusted", "name the CA with kubectl pyflow setup --build-ca FILE")
	case !stage && unreachable.MatchString(reason):
		return pull("the cluster cannot reach the registry of the base image: "+last(reason), "check the image's name; behind a firewall use a mirror or a proxy: kubectl pyflow setup --image-mirror, --build-env HTTPS_PROXY=…")
	}
	if match := noSecret.FindStringSubmatch(reason); match != nil {
		return engine.Diagnosis{
			Message: "it needs the secret " + match[1] + ", which the build was not given",
			Advice:  "pass --build-secret id=" + match[1] + ",src=FILE, or env=VARIABLE or secret=NAME,key=KEY in place of src",
		}, true
	}
	if noShell.MatchString(reason) {
		return engine.Diagnosis{
			Message: "the image has no /bin/sh, by which a RUN gets what setup was given with --build-env and --build-ca",
			Advice:  "copy a shell into this stage, such as COPY --from=build /usr/bin/dash /bin/sh, or run the command in a stage that has one",
		}, true
	}
	if match := missingFile.FindStringSubmatch(reason); match != nil {
		name := match[1]
		if prefix := otherStage.FindString(name); prefix != "" {
			name = path.Clean(name[len(prefix):])
			return engine.Diagnosis{
				Missing: name, Elsewhere: true,
				Message: name + " is not in the stage or the image that it is copied from",
				Advice:  "check the path, which starts at the root of that stage or image",
			}, true
		}
		name = path.Clean(strings.TrimPrefix(name, contextDir))
		return engine.Diagnosis{
			Missing: name,
			Message: name + " is not in the build context",
			Advice:  "check the path, which starts at the folder that is built, and that .dockerignore does not exclude it",
		}, true
	}
	return engine.Diagnosis{}, false
}

// ownCode starts the lines of Kaniko's own code in a stack trace.
const ownCode = "github.com/osscontainertools/kaniko/"

// crashReason returns what Kaniko says before it crashes.
func crashReason(match []string) string {
	if match == nil {
		return "a fault in its code"
	}
	if text, err := strconv.Unquote(match[2]); err == nil {
		return text
	}
	return match[2]
}

// last returns the innermost reason of a chain.
func last(reason string) string {
	_, after, ok := strings.Cut(reason, "last error: ")
	if ok {
		return after
	}
	return reason
}
