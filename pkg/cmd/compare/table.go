package compare

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	terminal "golang.org/x/term"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/compare"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// defaultWidth is that of what does not tell.
const defaultWidth = 80

// width is how many columns out has.
func width(out io.Writer) int {
	if file, ok := out.(*os.File); ok {
		if columns, _, err := terminal.GetSize(int(file.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return defaultWidth
}

// unicodeLocale reports whether the environment's locale is one of UTF-8.
func unicodeLocale(getenv func(string) string) bool {
	locale := strings.ToUpper(cmp.Or(getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG")))
	return strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8")
}

// printTable writes the table, the bars below it, and why something is missing.
func printTable(comparison *compare.Comparison, width int, unicode bool, out io.Writer) error {
	var text strings.Builder
	text.WriteString(display.Table(columns(), comparison.Variants))
	if bars := compare.Bars(comparison.Variants, width, unicode); bars != "" {
		text.WriteString("\n" + bars)
	}
	for _, variant := range comparison.Failed() {
		fmt.Fprintf(&text, "\n%s: %s\n", variant.Name, display.Sanitize(variant.Error))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func columns() []display.Column[compare.Variant] {
	// What was not measured is no number.
	const missing = "-"
	inspected := func(cell func(compare.Variant) string) func(compare.Variant) string {
		return func(v compare.Variant) string {
			if v.Layers == 0 {
				return missing
			}
			return cell(v)
		}
	}
	seconds := func(value func(compare.Variant) *float64, format func(float64) string) func(compare.Variant) string {
		return func(v compare.Variant) string {
			if number := value(v); number != nil {
				return format(*number)
			}
			return missing
		}
	}
	long := func(n float64) string { return display.Seconds(time.Duration(n * float64(time.Second))) }
	short := func(n float64) string { return fmt.Sprintf("%.2fs", n) }
	return []display.Column[compare.Variant]{
		{Header: "VARIANT", Cell: func(v compare.Variant) string { return v.Name }},
		{Header: "SIZE", Cell: inspected(func(v compare.Variant) string { return display.Bytes(v.CompressedBytes) })},
		{Header: "ON DISK", Cell: inspected(func(v compare.Variant) string { return display.Bytes(v.UnpackedBytes) })},
		{Header: "LAYERS", Cell: inspected(func(v compare.Variant) string { return strconv.Itoa(v.Layers) })},
		{Header: "COLD", Cell: seconds(func(v compare.Variant) *float64 { return v.ColdSeconds }, long)},
		{Header: "CHANGE", Cell: seconds(func(v compare.Variant) *float64 { return v.ChangeSeconds }, long)},
		{Header: "START", Cell: seconds(func(v compare.Variant) *float64 { return v.StartSeconds }, short)},
		{Header: "USER", Cell: inspected(func(v compare.Variant) string {
			if v.Root {
				return "root"
			}
			return v.User
		})},
		{Header: "LARGEST PACKAGES", Cell: inspected(func(v compare.Variant) string {
			parts := make([]string, len(v.Packages))
			for i, p := range v.Packages {
				parts[i] = fmt.Sprintf("%s %.0f%%", p.Name, 100*float64(p.Bytes)/float64(max(1, v.UnpackedBytes)))
			}
			return display.OrNone(strings.Join(parts, ", "))
		})},
	}
}
