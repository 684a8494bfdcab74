package option

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

const (
	columnsFormat     = "custom-columns"
	columnsFileFormat = "custom-columns-file"
)

// columnsPrinter prints objects as kubectl's custom-columns does. kubectl's own
// printer is not used because its package brings half of kubectl into the binary.
type columnsPrinter struct {
	columns   []display.Column[any]
	noHeaders bool
}

// newColumnsPrinter returns the printer of the format custom-columns or
// custom-columns-file, and nil for any other. The template, when set, is the
// argument of the format.
func newColumnsPrinter(format, template string, noHeaders bool) (printers.ResourcePrinter, error) {
	name, argument, _ := strings.Cut(format, "=")
	if name != columnsFormat && name != columnsFileFormat {
		return nil, nil
	}
	if template != "" {
		argument = template
	}
	if argument == "" {
		return nil, fmt.Errorf("--output %s names no columns: write %s=HEADER:.field,…", name, columnsFormat)
	}
	headers, fields, err := readColumns(name, argument)
	if err != nil {
		return nil, fmt.Errorf("--output %s: %w", name, err)
	}
	printer := &columnsPrinter{noHeaders: noHeaders}
	for i, header := range headers {
		path, err := parsePath(fields[i])
		if err != nil {
			return nil, fmt.Errorf("--output %s: %w", name, err)
		}
		printer.columns = append(printer.columns, display.Column[any]{Header: header, Cell: func(object any) string {
			return cell(path, object)
		}})
	}
	return printer, nil
}

// readColumns returns the headers and, for each, its field. In a file they are two
// lines of words.
func readColumns(format, argument string) (headers, fields []string, err error) {
	if format == columnsFileFormat {
		content, err := os.ReadFile(argument)
		if err != nil {
			return nil, nil, err
		}
		lines := strings.SplitN(string(content), "\n", 3)
		if len(lines) < 2 {
			return nil, nil, fmt.Errorf("%s has no line of headers and line of fields", argument)
		}
		headers, fields = strings.Fields(lines[0]), strings.Fields(lines[1])
		if len(headers) != len(fields) || len(headers) == 0 {
			return nil, nil, fmt.Errorf("%s has %d headers and %d fields", argument, len(headers), len(fields))
		}
		return headers, fields, nil
	}
	for _, column := range strings.Split(argument, ",") {
		header, field, found := strings.Cut(column, ":")
		if !found {
			return nil, nil, fmt.Errorf("%q is not of the form HEADER:.field", column)
		}
		headers, fields = append(headers, header), append(fields, field)
	}
	return headers, fields, nil
}

// parsePath parses a JSONPath expression, which may lack the braces and the dot.
func parsePath(expression string) (*jsonpath.JSONPath, error) {
	inner := strings.TrimSuffix(strings.TrimPrefix(expression, "{"), "}")
	if inner == "" || strings.ContainsAny(inner, "{}") {
		return nil, fmt.Errorf("%q is not a field such as .name", expression)
	}
	if !strings.HasPrefix(inner, ".") && !strings.HasPrefix(inner, "[") {
		inner = "." + inner
	}
	path := jsonpath.New("field").AllowMissingKeys(true)
	if err := path.Parse("{" + inner + "}"); err != nil {
		return nil, fmt.Errorf("%q is not a field such as .name: %w", expression, err)
	}
	return path, nil
}

// values returns what path finds in object.
func values(path *jsonpath.JSONPath, object any) []any {
	// A field that is missing is no error, and finds nothing.
	results, err := path.FindResults(object)
	if err != nil {
		return nil
	}
	var found []any
	for _, result := range results {
		for _, value := range result {
			if value.IsValid() && (value.Kind() != reflect.Interface || !value.IsNil()) {
				found = append(found, value.Interface())
			}
		}
	}
	return found
}

func cell(path *jsonpath.JSONPath, object any) string {
	var text []string
	for _, value := range values(path, object) {
		text = append(text, fmt.Sprint(value))
	}
	return display.OrNone(strings.Join(text, ","))
}

// PrintObj writes a row for each item of a list, or one for another object.
func (p *columnsPrinter) PrintObj(object runtime.Object, out io.Writer) error {
	content, err := plain(object)
	if err != nil {
		return err
	}
	rows := []any{content}
	if fields, ok := content.(map[string]any); ok {
		if items, ok := fields["items"].([]any); ok {
			rows = items
		}
	}
	_, err = io.WriteString(out, Rows(p.columns, rows, p.noHeaders))
	return err
}

// plain returns value as maps, slices and scalars, as its JSON form has them.
func plain(value any) (any, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var content any
	err = utiljson.Unmarshal(raw, &content)
	return content, err
}

// Rows lays rows out as a table, without its line of headers when noHeaders is set.
func Rows[T any](columns []display.Column[T], rows []T, noHeaders bool) string {
	text := display.Table(columns, rows)
	if noHeaders {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}
