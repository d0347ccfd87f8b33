package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// takes says what the value of a key may be, in words for docs/config.md, and reads it.
type takes struct {
	values string
	set    func(c *Config, text string) error
	same   func(a, b *Config) bool // whether two configurations have one value; nil = it stands in none
	copy   func(to, from *Config)
}

// notice is a reader's way to say that a value is taken, but not as it stands, or not at all.
type notice string

func (n notice) Error() string { return string(n) }

// into makes a reader of a value whose place is a field.
func into[T any](values string, field func(*Config) *T, parse func(text string) (T, error)) takes {
	return takes{
		values: values,
		set: func(c *Config, text string) error {
			v, err := parse(text)
			var n notice
			if err == nil || errors.As(err, &n) {
				*field(c) = v
			}
			return err
		},
		same: func(a, b *Config) bool { return reflect.DeepEqual(*field(a), *field(b)) },
		copy: func(to, from *Config) { *field(to) = *field(from) },
	}
}

// or gives a value other words.
func (t takes) or(values string) takes {
	t.values = values
	return t
}

func text(field func(*Config) *string) takes {
	return into("text", field, func(v string) (string, error) { return v, nil })
}

// oneOf takes one of some words, however they are written.
func oneOf(field func(*Config) *string, words ...string) takes {
	return into(strings.Join(words, ", "), field, func(v string) (string, error) {
		if i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, v) }); i >= 0 {
			return words[i], nil
		}
		return "", fmt.Errorf("%q is none of %s", v, strings.Join(words, ", "))
	})
}

// span tells a range in words.
func span(unit string, least, most int) string {
	switch {
	case least == math.MinInt32 && most == math.MaxInt32:
		return unit
	case most == math.MaxInt32:
		return fmt.Sprintf("%s, at least %d", unit, least)
	}
	return fmt.Sprintf("%s, %d to %d", unit, least, most)
}

func number(field func(*Config) *int, least, most int) takes {
	return into(span("number", least, most), field, func(v string) (int, error) { return parseNumber(v, least, most) })
}

func parseNumber(v string, least, most int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", v)
	}
	if n < least || n > most {
		return 0, fmt.Errorf("%d is not between %d and %d", n, least, most)
	}
	return n, nil
}

// atLeast takes a number that ZooKeeper raises to the least.
func atLeast(field func(*Config) *int, least int) takes {
	return into(span("number", least, math.MaxInt32), field, func(v string) (int, error) {
		n, err := parseNumber(v, math.MinInt32, math.MaxInt32)
		if err == nil && n < least {
			return least, notice(fmt.Sprintf("%d is less than %d, which counts", n, least))
		}
		return n, err
	})
}

func millis(field func(*Config) *time.Duration, least int) takes {
	return durations("ms", time.Millisecond, field, least)
}

func durations(unit string, of time.Duration, field func(*Config) *time.Duration, least int) takes {
	return into(span(unit, least, math.MaxInt32), field, func(v string) (time.Duration, error) {
		n, err := parseNumber(v, least, math.MaxInt32)
		return time.Duration(n) * of, err
	})
}

// interval takes hours, or a number with a unit behind it.
func interval(field func(*Config) *time.Duration) takes {
	const century = 24 * 365 * 100 * time.Hour
	units := []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"", time.Hour}}
	return into("hours, or a number with ms, s, m, h or d behind it", field, func(v string) (time.Duration, error) {
		for _, u := range units {
			digits, ok := strings.CutSuffix(v, u.suffix)
			if !ok {
				continue
			}
			n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
			switch {
			case err != nil:
				return 0, fmt.Errorf("%q is not a number of hours, nor one with ms, s, m, h or d behind it", v)
			case n < 0 || n > int64(century/u.unit):
				return 0, fmt.Errorf("%s is not between 0 and a hundred years", v)
			}
			return time.Duration(n) * u.unit, nil
		}
		return 0, nil
	})
}

// kib takes a size in KiB.
func kib(field func(*Config) *int64, least int64) takes {
	words := "KiB"
	if least != math.MinInt64 {
		words = fmt.Sprintf("KiB, at least %d", least)
	}
	return into(words, field, func(v string) (int64, error) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number of KiB", v)
		}
		if n < least || n > math.MaxInt64>>10 || n < math.MinInt64>>10 {
			return 0, fmt.Errorf("%d KiB is out of range", n)
		}
		return n << 10, nil
	})
}

func parseYesNo(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true", "yes":
		return true, nil
	case "false", "no":
		return false, nil
	}
	return false, errors.New(strconv.Quote(v) + " is neither true (yes) nor false (no)")
}

func yesNo(field func(*Config) *bool) takes { return into("true, false", field, parseYesNo) }

// risky takes yes or no, of which one makes the server less safe. ZooKeeper takes that one word for it, and any other for
// the opposite; so a server that comes after it is no less safe than it was.
func risky(word string, field func(*Config) *bool) takes {
	return into("yes, no", field, func(v string) (bool, error) {
		yes, err := parseYesNo(v)
		if means := word == "yes"; err == nil && yes == means && v != word {
			return !means, notice(fmt.Sprintf("%s has no effect: only the word %s has, as in ZooKeeper", v, word))
		}
		return yes, err
	})
}

func list(field func(*Config) *[]string) takes {
	return into("words, with commas between", field, func(v string) (words []string, err error) {
		for _, word := range strings.Split(v, ",") {
			if word = strings.TrimSpace(word); word != "" {
				words = append(words, word)
			}
		}
		return words, nil
	})
}

// fraction takes a number between two others.
func fraction(field func(*Config) *float64, least, most float64) takes {
	return into(fmt.Sprintf("number, %v to %v", least, most), field, func(v string) (float64, error) {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(f) {
			return 0, fmt.Errorf("%q is not a number", v)
		}
		if f < least || f > most {
			return 0, fmt.Errorf("%v is not between %v and %v", f, least, most)
		}
		return f, nil
	})
}

// share takes a part of the whole; more than the whole gives the usual part, as in ZooKeeper.
func share(field func(*Config) *float64, usual float64) takes {
	return into("number; negative = never, more than 1 = the default", field, func(v string) (float64, error) {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(f) {
			return 0, fmt.Errorf("%q is not a number", v)
		}
		if f > 1 {
			return usual, notice(fmt.Sprintf("%v is more than 1: %v counts", f, usual))
		}
		return f, nil
	})
}

// later takes the value that leaves a feature off, or none at all; any other asks for what this release does not have.
func later(feature, off string) takes {
	return takes{values: "text", set: func(_ *Config, v string) error {
		if same(v, off) {
			return nil
		}
		return notice("has no effect: this release does not have " + feature)
	}}
}

// same compares two values of a key that has no field.
func same(a, b string) bool {
	x, aerr := parseYesNo(a)
	y, berr := parseYesNo(b)
	return strings.EqualFold(a, b) || aerr == nil && berr == nil && x == y
}

// refused takes a no; a yes would be a promise that is not kept.
func refused(reason string) takes {
	return takes{values: "false", set: func(_ *Config, v string) error {
		yes, err := parseYesNo(v)
		if err == nil && yes {
			return errors.New(reason)
		}
		return err
	}}
}

// checked takes a value that has no field.
func checked(values string, check func(v string) error) takes {
	return takes{values: values, set: func(_ *Config, v string) error { return check(v) }}
}
