package store_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/store"
)

// TestPostgres_everyMethod calls each method of a store with values that mean little,
// on both databases: they answer alike, and neither finds fault with a statement. What
// the conformance suite leaves out is asked here at least once.
func TestPostgres_everyMethod(t *testing.T) {
	t.Parallel()
	lite, pg := openAt(t, t.TempDir()), openPostgres(t, postgres.Schema(t), t.TempDir())
	queries := reflect.TypeFor[core.Queries]()
	require.Greater(t, queries.NumMethod(), 100)
	for i := range queries.NumMethod() {
		method := queries.Method(i)
		t.Run(method.Name, func(t *testing.T) {
			for _, word := range []string{"", "acme"} {
				want, detail := outcome(t, lite, method, word)
				require.NotEqual(t, core.KindInternal, want, "SQLite: %v", detail)
				got, detail := outcome(t, pg, method, word)
				require.Equal(t, want, got, "PostgreSQL: %v", detail)
			}
		})
	}
}

// outcome returns the kind of the error of a method, "" if it has none.
func outcome(t *testing.T, s *store.Store, method reflect.Method, word string) (kind core.Kind, detail error) {
	t.Helper()
	_ = s.Tx(t.Context(), func(q core.Queries) error {
		kind, detail = "", nil
		for _, out := range reflect.ValueOf(q).MethodByName(method.Name).Call(meaningless(t.Context(), method.Type, word)) {
			if err, ok := out.Interface().(error); ok {
				kind, detail = core.KindOf(err), err
			}
		}
		return context.Canceled // nothing of it stays
	})
	return kind, detail
}

// meaningless returns arguments of a function.
func meaningless(ctx context.Context, f reflect.Type, word string) []reflect.Value {
	var args []reflect.Value
	for i := range f.NumIn() {
		in := f.In(i)
		switch {
		case f.IsVariadic() && i == f.NumIn()-1:
			continue
		case in == reflect.TypeFor[context.Context]():
			args = append(args, reflect.ValueOf(ctx))
		case in.Kind() == reflect.Func:
			args = append(args, reflect.MakeFunc(in, func([]reflect.Value) []reflect.Value {
				out := make([]reflect.Value, in.NumOut())
				for i := range out {
					out[i] = reflect.Zero(in.Out(i))
				}
				return out
			}))
		default:
			v := reflect.New(in).Elem()
			fill(v, word)
			args = append(args, v)
		}
	}
	return args
}

// fill gives a value something that is not zero, where that can be.
func fill(v reflect.Value, word string) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(1_900_000_000, 0)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(word)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1 << 33) // more than an integer of four bytes holds
	case reflect.Slice:
		one := reflect.New(v.Type().Elem()).Elem()
		if one.Kind() == reflect.Uint8 {
			v.SetBytes([]byte("{}"))
			return
		}
		fill(one, word)
		v.Set(reflect.Append(reflect.Zero(v.Type()), one))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), word)
			}
		}
	}
}
