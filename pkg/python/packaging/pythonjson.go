package packaging

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// pythonJSON writes a value as json.dumps does with sort_keys and these separators.
func pythonJSON(value any, comma, colon string) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(value)
	case int64:
		return strconv.FormatInt(value, 10)
	case float64:
		text := strconv.FormatFloat(value, 'g', -1, 64)
		if !strings.ContainsAny(text, ".enI") {
			text += ".0"
		}
		return text
	case string:
		return pythonString(value)
	case []any:
		parts := make([]string, len(value))
		for i, one := range value {
			parts[i] = pythonJSON(one, comma, colon)
		}
		return "[" + strings.Join(parts, comma) + "]"
	case map[string]any:
		parts := make([]string, 0, len(value))
		for _, key := range slices.Sorted(maps.Keys(value)) {
			parts = append(parts, pythonString(key)+colon+pythonJSON(value[key], comma, colon))
		}
		return "{" + strings.Join(parts, comma) + "}"
	}
	return pythonString(fmt.Sprint(value))
}

// pythonString is a JSON string in ASCII.
func pythonString(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, char := range text {
		switch {
		case char == '"' || char == '\\':
			out.WriteByte('\\')
			out.WriteRune(char)
		case char == '\n':
			out.WriteString(`\n`)
		case char == '\r':
			out.WriteString(`\r`)
		case char == '\t':
			out.WriteString(`\t`)
		case char == '\b':
			out.WriteString(`\b`)
		case char == '\f':
			out.WriteString(`\f`)
		case char < 0x20:
			fmt.Fprintf(&out, `\u%04x`, char)
		case char <= 0x7f:
			out.WriteRune(char)
		case char > 0xffff:
			high, low := utf16.EncodeRune(char)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, char)
		}
	}
	out.WriteByte('"')
	return out.String()
}
