// Rules of the ControlCluster that the API server enforces (CEL, `x-kubernetes-validations`), carried by the zod schema as metadata.
// zod itself does not evaluate them, except for the form of a text.
import { z } from 'zod';

/** A rule that the API server enforces on a field; `message` says what to do. */
export const rules = (...list: { rule: string; message?: string; messageExpression?: string; fieldPath?: string }[]) => ({
  'x-kubernetes-validations': list,
});

/** Text of a form, which the API server checks as a rule: a bare `pattern` would answer with the expression, not with what to do. */
export function form(expression: RegExp, message: string, maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .regex(expression, message)
    .meta(rules({ rule: `self.matches(${JSON.stringify(expression.source)})`, message }));
}
