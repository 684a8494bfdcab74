package secret

import (
	"regexp"
	"strings"
)

// Hidden stands in for a token or a password in what people read.
const Hidden = "***"

// anyUserinfo matches what is before the host of a URL, up to its last @.
var anyUserinfo = regexp.MustCompile(`((?:^|[\s=,"'])(?:[A-Za-z][A-Za-z0-9+.-]*://)?)[^\s/"'<>=,]*:[^\s/"'<>]*@|([A-Za-z][A-Za-z0-9+.-]*://)[^\s/"'<>]*@`)

// Redact returns a text without what is before the host of a URL, and without tokens of known
// formats, for an error that repeats what a person wrote.
func Redact(text string) string {
	return Mask(anyUserinfo.ReplaceAllString(text, "${1}${2}"+Hidden+"@"))
}

// ReplaceTokens returns a line with another text in place of every token of a known format, and of
// every password in a URL: also of those that InFile takes for examples.
func ReplaceTokens(line, with string) string {
	var out strings.Builder
	last := 0
	for _, one := range tokens(line, true) {
		out.WriteString(line[last:one.start] + with)
		last = one.end
	}
	line = out.String() + line[last:]
	out.Reset()
	for {
		start, end, found := Find(line)
		if !found {
			return out.String() + line
		}
		out.WriteString(line[:start] + with)
		line = line[end:]
	}
}
