package lint

import (
	"regexp"
	"slices"
	"strings"
)

// secretPattern matches what is a secret whatever it is called: a password inside of
// an URL, and the formats in which well-known services issue tokens. The secret is
// the one group that is not empty.
var secretPattern = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@"']*:([^\s/@"'$]{2,}[^\s/@"']*)@` + // a URL's password
	`|\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})` +
	`|\b(glpat-[A-Za-z0-9_-]{16,})` +
	`|\b((?:AKIA|ASIA)[A-Z0-9]{16})\b` +
	`|\b(xox[abprs]-[A-Za-z0-9-]{10,})` +
	`|\b(sk-[A-Za-z0-9_-]{20,}|sk_live_[A-Za-z0-9]{16,})` +
	`|\b(hf_[A-Za-z0-9]{20,})` +
	`|\b(AIza[A-Za-z0-9_-]{30,})` +
	`|\b(pypi-[A-Za-z0-9_-]{20,})` +
	`|\b(npm_[A-Za-z0-9]{30,})` +
	`|\b(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+)` +
	`|(-----BEGIN [A-Z ]*PRIVATE KEY-----.*)`)

// secretIn returns where in a line of text a secret is, as byte offsets.
func secretIn(line string) (start, end int, found bool) {
	match := secretPattern.FindStringSubmatchIndex(line)
	for i := 2; i+1 < len(match); i += 2 {
		if match[i] >= 0 {
			return match[i], match[i+1], true
		}
	}
	return 0, 0, false
}

// secretName says whether a variable of that name holds a secret by what it is
// called: one of its words says so, and none that it is about one only.
func secretName(name string) bool {
	words := nameWords(name)
	secret := false
	for i, word := range words {
		switch word {
		case "password", "passwd", "passphrase", "pwd", "pass", "secret", "secrets", "token", "apikey", "credential", "credentials", "pat":
			// PWD alone is the working directory.
			secret = secret || len(words) > 1 || word != "pwd" && word != "pat" && word != "pass"
		case "key":
			if i > 0 {
				switch words[i-1] {
				case "api", "access", "secret", "private", "encryption", "signing", "auth":
					secret = true
				}
			}
		}
	}
	return secret && !aboutSecret(name)
}

// aboutSecret says whether a variable of that name is about a secret only, which
// another one holds: where it is, or for how long it is valid.
func aboutSecret(name string) bool {
	return slices.ContainsFunc(nameWords(name), func(word string) bool {
		switch word {
		case "file", "path", "dir", "name", "id", "public", "url", "uri", "host", "header", "prefix", "algorithm", "length",
			"size", "bytes", "ttl", "timeout", "expire", "expires", "expiration", "expiry", "minutes", "seconds", "hours", "days", "lifetime", "lifespan",
			"max", "min", "limit", "required", "enabled", "type", "env", "hasher", "hashers", "endpoint", "audience", "issuer", "version", "mount",
			"sock", "socket":
			return true
		}
		return false
	})
}

func nameWords(name string) []string {
	return strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '_' || r == '-' || r == '.' })
}

// maybeSecret says whether BuildKit takes the name for that of a secret where
// secretName does not: its value is not shown either.
func maybeSecret(name string) bool {
	return !aboutSecret(name) && slices.ContainsFunc(nameWords(name), func(word string) bool { return word == "key" || word == "auth" || word == "pword" })
}

// noSecret says whether a value is none, whatever the name: nothing, or a switch.
func noSecret(value string) bool {
	return slices.Contains([]string{"", "true", "false", "yes", "no", "on", "off", "0", "1"}, strings.ToLower(strings.Trim(value, `"'`)))
}

// assignmentPattern finds NAME=value anywhere, and the old form ENV NAME value.
var assignmentPattern = regexp.MustCompile(`(?:^\s*(?i:env)\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s"']+)` +
	`|^\s*(?i:env)\s+([A-Za-z_][A-Za-z0-9_.-]*)\s+(\S.*)`)

// mask returns a line with asterisks in place of the secrets in it: what looks
// like one, and what is assigned to a name that says so.
func mask(line string) string {
	line = maskTokens(line)
	var masked strings.Builder
	for _, match := range assignmentPattern.FindAllStringSubmatchIndex(line, -1) {
		group := 2
		if match[group] < 0 {
			group = 6
		}
		name, value := line[match[group]:match[group+1]], line[match[group+2]:match[group+3]]
		if !secretName(name) && !maybeSecret(name) || strings.HasPrefix(strings.Trim(value, `"'`), "$") {
			continue
		}
		masked.WriteString(line[masked.Len():match[group+2]] + stars(value))
	}
	return masked.String() + line[masked.Len():]
}

// maskTokens returns a text with asterisks in place of what looks like a secret.
func maskTokens(text string) string {
	var masked strings.Builder
	for {
		start, end, found := secretIn(text)
		if !found {
			return masked.String() + text
		}
		masked.WriteString(text[:start] + stars(text[start:end]))
		text = text[end:]
	}
}

// stars has as many bytes as text, so that what follows stays in its place.
func stars(text string) string { return strings.Repeat("*", len(text)) }
