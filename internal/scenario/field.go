package scenario

import "strconv"

// Field is a field of an object by its path of names; false if there is none. In a
// list a name is the number of an item, or the type or name that an item has; count is how
// many there are.
func Field(value any, path ...string) (any, bool) {
	for _, name := range path {
		var found bool
		switch within := value.(type) {
		case map[string]any:
			value, found = within[name]
		case []any:
			value, found = item(within, name)
		}
		if !found {
			return nil, false
		}
	}
	return value, true
}

func item(list []any, name string) (any, bool) {
	if name == "count" {
		return len(list), true
	}
	if at, err := strconv.Atoi(name); err == nil {
		if at < 0 || at >= len(list) {
			return nil, false
		}
		return list[at], true
	}
	for _, one := range list {
		if fields, ok := one.(map[string]any); ok && (fields["type"] == name || fields["name"] == name) {
			return one, true
		}
	}
	return nil, false
}
