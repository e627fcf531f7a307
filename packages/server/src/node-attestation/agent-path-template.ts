/** The form that operators give to the IDs of agents: a template in Go's notation, as SPIRE's `agent_path_template`, over what was proved. */
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import {
  parseTemplate,
  type Command,
  type Operand,
  type Pipeline,
  type TemplatePart,
} from './template/parse-template.js';
import { TEMPLATE_FUNCTIONS } from './template/template-functions.js';
import {
  fieldOf,
  isFields,
  textOf,
  type TemplateFields,
  type TemplateValue,
} from './template/template-value.js';

export interface AgentPathTemplate {
  /** As it was written. */
  readonly text: string;
  /**
   * @returns the path below `/spire/agent`, for `configuredAgentId` to check.
   * @throws BonafideError `invalid_argument` when a field that the template names is not there, or a function cannot take what it is given.
   */
  render(values: TemplateFields): string;
}

/**
 * @param fields the names that `render` will be given; when said, others are refused here instead of at the first attestation.
 * @throws BonafideError `invalid_argument` for what is not Go's notation, or is none of the functions that make paths.
 */
export function parseAgentPathTemplate(text: string, fields?: readonly string[]): AgentPathTemplate {
  let parts: readonly TemplatePart[];
  try {
    parts = parseTemplate(text);
    if (parts.length === 0) throw invalidArgument('template is empty');
    for (const part of parts) if (part.kind === 'action') checkPipeline(part.pipeline, fields);
  } catch (error) {
    throw invalidArgument(`agent path ${errorMessage(error)}`, error);
  }
  return {
    text,
    render: (values) =>
      parts
        .map((part) =>
          part.kind === 'text'
            ? part.text
            : textOf(evaluate(part.pipeline, values), 'the value of an action'),
        )
        .join(''),
  };
}

/**
 * @param path what a template rendered; SPIRE's documents write templates with and without the leading slash, so both are taken.
 * @throws BonafideError `permission_denied` when what the node proved does not make a path.
 */
export function configuredAgentId(trustDomain: TrustDomain, path: string): SpiffeId {
  try {
    return spiffeIdFromParts(trustDomain, `/spire/agent${path.startsWith('/') ? '' : '/'}${path}`);
  } catch (error) {
    throw new BonafideError(
      'permission_denied',
      `the agent path template makes no agent ID of what this node proved: ${errorMessage(error)}`,
      { cause: error },
    );
  }
}

function checkPipeline({ commands }: Pipeline, fields: readonly string[] | undefined): void {
  commands.forEach((command, position) => {
    const operands = command.kind === 'call' ? command.arguments : [command.operand];
    if (command.kind === 'call') checkCall(command.name, operands.length + (position === 0 ? 0 : 1));
    for (const operand of operands) {
      if (operand.kind === 'pipeline') checkPipeline(operand.pipeline, fields);
      if (operand.kind !== 'field') continue;
      const [name] = operand.names;
      if (name !== undefined && fields?.includes(name) === false) {
        throw invalidArgument(
          `template names .${name}; there are ${fields.map((field) => `.${field}`).join(', ')}`,
        );
      }
    }
  });
}

function checkCall(name: string, count: number): void {
  const called = TEMPLATE_FUNCTIONS.get(name);
  if (called === undefined) {
    throw invalidArgument(
      `template calls ${JSON.stringify(name)}; there are ${[...TEMPLATE_FUNCTIONS.keys()].join(', ')}`,
    );
  }
  if (count < called.fewest || count > called.most) {
    const accepted = called.fewest === called.most ? called.fewest : `${called.fewest} to ${called.most}`;
    throw invalidArgument(`template calls ${name} with ${count} values; it takes ${accepted}`);
  }
}

function evaluate({ commands }: Pipeline, values: TemplateFields): TemplateValue {
  let piped: TemplateValue | undefined;
  for (const command of commands) piped = evaluateCommand(command, piped, values);
  return piped ?? '';
}

function evaluateCommand(
  command: Command,
  piped: TemplateValue | undefined,
  values: TemplateFields,
): TemplateValue {
  if (command.kind === 'operand') return evaluateOperand(command.operand, values);
  const called = TEMPLATE_FUNCTIONS.get(command.name);
  if (called === undefined) throw invalidArgument(`template calls ${command.name}, which there is not`);
  const given = command.arguments.map((operand) => evaluateOperand(operand, values));
  try {
    return called.call(piped === undefined ? given : [...given, piped]);
  } catch (error) {
    throw invalidArgument(`agent path template: ${command.name}: ${errorMessage(error)}`, error);
  }
}

function evaluateOperand(operand: Operand, values: TemplateFields): TemplateValue {
  switch (operand.kind) {
    case 'literal':
      return operand.value;
    case 'pipeline':
      return evaluate(operand.pipeline, values);
    case 'field': {
      let value: TemplateValue = values;
      for (const name of operand.names) {
        const found: TemplateValue | undefined = isFields(value) ? fieldOf(value, name) : undefined;
        if (found === undefined) throw invalidArgument(`this node has no .${operand.names.join('.')}`);
        value = found;
      }
      return value;
    }
  }
}
