package health

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
)

// costLimit bounds one evaluation, in CEL's units of work. It is what the
// Kubernetes API server grants one expression of a CRD's validation.
const costLimit = 1_000_000

// expression is a compiled CEL expression that says yes or no. It is safe for
// concurrent use.
type expression struct{ program cel.Program }

// language is CEL with the libraries that the toolkit's expressions may use.
var language = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.HomogeneousAggregateLiterals(),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.Strings(), ext.Sets(), ext.Lists(), ext.Math(), ext.Encoders(),
	)
})

// compile compiles text, in which variables may occur; nil stands for any, of
// which nothing is known before the object is there.
func compile(text string, variables []string) (*expression, error) {
	env, err := language()
	if err != nil {
		return nil, err
	}
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, invalid(text, issues)
	}
	if variables == nil {
		variables = identifiers(env, parsed)
	}
	declared := make([]cel.EnvOption, len(variables))
	for i, name := range variables {
		declared[i] = cel.Variable(name, cel.DynType)
	}
	if env, err = env.Extend(declared...); err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, invalid(text, issues)
	}
	if out := checked.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("%q is a value of type %s: write an expression that is true or false", text, out)
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costLimit))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	return &expression{program}, nil
}

// invalid says what is wrong with an expression, and where, on one line.
func invalid(text string, issues *cel.Issues) error {
	first := issues.Errors()[0]
	return fmt.Errorf("%q is not a CEL expression: character %d: %s", text, first.Location.Column()+1, strings.Join(strings.Fields(first.Message), " "))
}

var plainName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// identifiers are the names in an expression that are not names of types. Those
// that a macro binds are among them; the macro's own meaning comes first.
func identifiers(env *cel.Env, parsed *cel.Ast) []string {
	found := map[string]bool{}
	celast.PreOrderVisit(parsed.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.IdentKind || !plainName.MatchString(e.AsIdent()) {
			return
		}
		if _, isType := env.CELTypeProvider().FindIdent(e.AsIdent()); !isType {
			found[e.AsIdent()] = true
		}
	}))
	return append([]string{}, slices.Sorted(maps.Keys(found))...)
}

// holds evaluates the expression. Variables that are not there are an error.
func (e *expression) holds(variables map[string]any) (bool, error) {
	out, _, err := e.program.Eval(variables)
	if err != nil {
		return false, err
	}
	answer, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("it is a value of type %s, not true or false", out.Type().TypeName())
	}
	return bool(answer), nil
}
