package pipelinerun

import (
	"path"
	"regexp"
	"strings"
)

// Diagnosis is what the build engine's last line says about a build that failed.
type Diagnosis struct {
	// Pull says that a base image could not be pulled.
	Pull bool
	// Missing is a path that an instruction names and that is not there; empty if
	// that is not why. It is one of the build context, or with Elsewhere of another
	// stage, or of an image, whose name it starts with.
	Missing   string
	Elsewhere bool
	// Message is the reason in one line, Advice what to do.
	Message, Advice string
}

// lastWords is how Kaniko says why it ends, below its log.
const lastWords = "error building image: "

// What the texts of go-containerregistry and of the network say of a pull. The
// codes are those of the OCI distribution specification.
var (
	unknownImage = regexp.MustCompile(`MANIFEST_UNKNOWN|NAME_UNKNOWN|NOT_FOUND|manifest unknown|: 404 |status code 404`)
	deniedImage  = regexp.MustCompile(`UNAUTHORIZED|DENIED|authentication required|: 40[13] |status code 40[13]`)
	limitedImage = regexp.MustCompile(`TOOMANYREQUESTS|: 429 |status code 429`)
	badAuthority = regexp.MustCompile(`x509: |tls: failed to verify`)
	unreachable  = regexp.MustCompile(`no such host|connection refused|i/o timeout|no route to host|network is unreachable|context deadline exceeded|server misbehaving|connection reset`)
	missingFile  = regexp.MustCompile(`lstat (\S+): no such file or directory`)
	otherStage   = regexp.MustCompile(`^/kaniko/deps/(?:\d+/)?`)
)

const contextDir = "/kaniko/buildcontext/"

// Diagnose reads the line by which the build engine ends. Of another line, or of
// one that says no more than that a command has failed, ok is false.
func Diagnose(line string) (diagnosis Diagnosis, ok bool) {
	reason, ok := strings.CutPrefix(line, lastWords)
	if !ok {
		return Diagnosis{}, false
	}
	pull := func(message, advice string) (Diagnosis, bool) {
		return Diagnosis{Pull: true, Message: message, Advice: advice}, true
	}
	stage := strings.Contains(reason, "error building stage")
	switch {
	case !stage && unknownImage.MatchString(reason):
		return pull("there is no such base image", "check its name and its tag")
	case !stage && deniedImage.MatchString(reason):
		return pull("the base image is private, or there is none of that name", "check its name; a private one is reached by a mirror that the builds may read: kubectl pyflow setup --image-mirror")
	case !stage && limitedImage.MatchString(reason):
		return pull("the registry of the base image allows no more pulls for now", "wait, or use a mirror: kubectl pyflow setup --image-mirror")
	case !stage && badAuthority.MatchString(reason):
		return pull("the certificate of the base image's registry is not trusted", "name the CA with kubectl pyflow setup --build-ca FILE")
	case !stage && unreachable.MatchString(reason):
		return pull("the cluster can not reach the registry of the base image: "+last(reason), "check the image's name; behind a firewall use a mirror or a proxy: kubectl pyflow setup --image-mirror, --build-env HTTPS_PROXY=…")
	}
	if match := missingFile.FindStringSubmatch(reason); match != nil {
		name := match[1]
		if prefix := otherStage.FindString(name); prefix != "" {
			name = path.Clean(name[len(prefix):])
			return Diagnosis{
				Missing: name, Elsewhere: true,
				Message: name + " is not in the stage or the image that it is copied from",
				Advice:  "check the path, which starts at the root of that stage or image",
			}, true
		}
		name = path.Clean(strings.TrimPrefix(name, contextDir))
		return Diagnosis{
			Missing: name,
			Message: name + " is not in the build context",
			Advice:  "check the path, which starts at the folder that is built, and that .dockerignore does not leave it out",
		}, true
	}
	return Diagnosis{}, false
}

// commandAdvice are what to do about what the programs of a RUN say most often.
//
//nolint:gochecknoglobals // compiled regular expressions
var commandAdvice = []struct {
	words  *regexp.Regexp
	advice string
}{
	{regexp.MustCompile(`CERTIFICATE_VERIFY_FAILED|certificate verify failed|unable to get local issuer certificate`), "a company's CA is named with kubectl pyflow setup --build-ca FILE"},
	{regexp.MustCompile(`Temporary failure in name resolution|Could not resolve host|Name or service not known|Failed to establish a new connection|Network is unreachable|Temporary failure resolving`), "the build does not reach the network: a proxy or an index of your own is named with kubectl pyflow setup --build-env, HTTPS_PROXY=… or PIP_INDEX_URL=…"},
	{regexp.MustCompile(`No matching distribution found for (\S+)`), "check the name and the version of $1, that it supports this Python, and that the package index has it"},
	{regexp.MustCompile(`THESE PACKAGES DO NOT MATCH THE HASHES`), "the lock does not fit what the package index has: lock the requirements anew"},
	{regexp.MustCompile(`Unable to locate package (\S+)`), "check the name of $1, and call apt-get update in the same RUN"},
	{regexp.MustCompile(`command '?\S*(?:gcc|cc)'? failed|(?:gcc|cc): (?:command )?not found|unable to execute '\S*gcc'`), "the package has no wheel for this Python and needs a compiler: take a version that has one, or install build-essential in this stage"},
	{regexp.MustCompile(`No space left on device`), "allow it more of the node's disk with --storage"},
}

// CommandAdvice is what to do when a command of the Dockerfile has failed, by the
// lines that it wrote last; empty when they say nothing that is known.
func CommandAdvice(lines []string) string {
	for _, row := range commandAdvice {
		for _, line := range lines {
			if match := row.words.FindStringSubmatchIndex(line); match != nil {
				return string(row.words.ExpandString(nil, row.advice, line, match))
			}
		}
	}
	return ""
}

// last is the innermost reason of a chain.
func last(reason string) string {
	_, after, ok := strings.Cut(reason, "last error: ")
	if ok {
		return after
	}
	return reason
}
