// Package secret recognizes secrets in the lines of a file: by the formats of tokens, by
// passwords in URLs, and by the names of variables.
package secret

import (
	"regexp"
	"slices"
	"strings"
)

// pattern matches what is a secret whatever its name is: a password in a URL, and the
// formats in which well-known services issue tokens. The secret is the one group that is
// not empty.
var pattern = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@"']*:([^\s/@"'$]{2,}[^\s/@"']*)@` + // a URL's password
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

// Find returns where a secret is in a line of text, as byte offsets.
func Find(line string) (start, end int, found bool) {
	match := pattern.FindStringSubmatchIndex(line)
	for i := 2; i+1 < len(match); i += 2 {
		if match[i] >= 0 {
			return match[i], match[i+1], true
		}
	}
	return 0, 0, false
}

// IsName reports whether a variable of that name holds a secret: one of its words says so,
// and none says that it is only about a secret.
func IsName(name string) bool {
	words := nameWords(name)
	return !IsAbout(name) && slices.ContainsFunc(secretWords(words), func(word string) bool {
		// PWD alone is the working directory.
		return len(words) > 1 || word != "pwd" && word != "pat" && word != "pass"
	})
}

// secretWords returns the words of a name that stand for a secret.
func secretWords(words []string) []string {
	var secrets []string
	for i, word := range words {
		switch word {
		case "password", "passwd", "passphrase", "pwd", "pass", "secret", "secrets", "token", "apikey", "credential", "credentials", "pat":
			secrets = append(secrets, word)
		case "key":
			if i > 0 && slices.Contains([]string{"api", "access", "secret", "private", "encryption", "signing", "auth"}, words[i-1]) {
				secrets = append(secrets, word)
			}
		}
	}
	return secrets
}

// IsAbout reports whether a variable of that name is only about a secret that is somewhere
// else: where it is, or how long it is valid.
func IsAbout(name string) bool {
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

// isMaybeName reports whether BuildKit takes the name for that of a secret where IsName does
// not. Its value is not shown either.
func isMaybeName(name string) bool {
	return !IsAbout(name) && slices.ContainsFunc(nameWords(name), func(word string) bool { return word == "key" || word == "auth" || word == "pword" })
}

// IsHarmless reports whether a value is no secret, whatever its name is: empty, or a
// switch.
func IsHarmless(value string) bool {
	return slices.Contains([]string{"", "true", "false", "yes", "no", "on", "off", "0", "1"}, strings.ToLower(strings.Trim(value, `"'`)))
}

// assignmentPattern finds NAME=value anywhere, and the old form ENV NAME value.
var assignmentPattern = regexp.MustCompile(`(?:^\s*(?i:env)\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s"']+)` +
	`|^\s*(?i:env)\s+([A-Za-z_][A-Za-z0-9_.-]*)\s+(\S.*)`)

// MaskLine returns a line with asterisks in place of the secrets in it: of what looks like
// one, and of what is assigned to a variable that holds one.
func MaskLine(line string) string {
	line = Mask(line)
	var masked strings.Builder
	for _, match := range assignmentPattern.FindAllStringSubmatchIndex(line, -1) {
		group := 2
		if match[group] < 0 {
			group = 6
		}
		name, value := line[match[group]:match[group+1]], line[match[group+2]:match[group+3]]
		if !IsName(name) && !isMaybeName(name) || strings.HasPrefix(strings.Trim(value, `"'`), "$") {
			continue
		}
		masked.WriteString(line[masked.Len():match[group+2]] + stars(value))
	}
	return masked.String() + line[masked.Len():]
}

// Mask returns a text with asterisks in place of what looks like a secret.
func Mask(text string) string {
	var masked strings.Builder
	for {
		start, end, found := Find(text)
		if !found {
			return masked.String() + text
		}
		masked.WriteString(text[:start] + stars(text[start:end]))
		text = text[end:]
	}
}

// stars returns as many asterisks as text has bytes, so that what follows stays in its place.
func stars(text string) string { return strings.Repeat("*", len(text)) }
