/**
 * Messages as SPIRE's `-output json` prints them: protojson with proto field names, every field that has a value or a default, none that
 * is unset, keys in alphabetical order.
 */
import type { PackageDefinition } from '@grpc/proto-loader';
import { loadProto } from '../rpc/load-proto.js';
import { SERVICES, type ServiceName } from '../rpc/services.js';
import type { JsonValue } from './output.js';

/** The part of a field's descriptor that decides how it is written. */
interface FieldDescriptor {
  readonly name: string;
  readonly type: string;
  readonly typeName: string;
  readonly label: string;
}

interface MessageDescriptor {
  readonly name: string;
  readonly field: readonly FieldDescriptor[];
  readonly nestedType: readonly MessageDescriptor[];
}

interface Scope {
  readonly definitions: PackageDefinition;
  /** Full name of the message whose fields are being written; relative type names are looked up from here outwards. */
  readonly fullName: string;
  readonly descriptor: MessageDescriptor;
}

/** @param service whose file declares or imports the message. @param messageName full, for example `spire.api.types.Entry`. */
export function protoJson(service: ServiceName, messageName: string, message: object): JsonValue {
  const scope = findMessage(loadProto(SERVICES[service]), messageName);
  if (scope === undefined) throw new Error(`${messageName} is no message of ${service}`);
  return messageJson(scope, message);
}

/** The name in the .proto file of a field that proto-loader shows in camelCase. */
export function protoFieldName(camelCase: string): string {
  return camelCase.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function messageJson(scope: Scope, message: object): JsonValue {
  const values = message as Readonly<Record<string, unknown>>;
  const members = scope.descriptor.field.flatMap((field): [string, JsonValue][] => {
    const value = values[field.name];
    return value === undefined || value === null
      ? []
      : [[protoFieldName(field.name), fieldJson(scope, field, value)]];
  });
  return sortedObject(members);
}

function fieldJson(scope: Scope, field: FieldDescriptor, value: unknown): JsonValue {
  if (field.label !== 'LABEL_REPEATED') return singleJson(scope, field, value);
  if (Array.isArray(value)) return value.map((item) => singleJson(scope, field, item));
  return mapJson(scope, field, value as Readonly<Record<string, unknown>>);
}

function mapJson(scope: Scope, field: FieldDescriptor, map: Readonly<Record<string, unknown>>): JsonValue {
  const entry = resolveType(scope, field.typeName);
  const valueField = entry.descriptor.field.find(({ name }) => name === 'value');
  if (valueField === undefined) throw new Error(`${field.name} is no map in the contract`);
  return sortedObject(Object.entries(map).map(([key, value]) => [key, singleJson(scope, valueField, value)]));
}

function singleJson(scope: Scope, field: FieldDescriptor, value: unknown): JsonValue {
  switch (field.type) {
    case 'TYPE_MESSAGE':
      return messageJson(resolveType(scope, field.typeName), value as object);
    case 'TYPE_BYTES':
      return Buffer.from(value as Uint8Array).toString('base64');
    case 'TYPE_INT64':
    case 'TYPE_UINT64':
    case 'TYPE_SINT64':
    case 'TYPE_FIXED64':
    case 'TYPE_SFIXED64':
      return String(value);
    default:
      return value as string | number | boolean;
  }
}

/** Names in descriptors are relative, as the .proto file has them: the innermost scope that knows the name wins. */
function resolveType({ definitions, fullName }: Scope, typeName: string): Scope {
  const scopes = fullName.split('.');
  for (let length = scopes.length; length >= 0; length -= 1) {
    const found = findMessage(definitions, [...scopes.slice(0, length), typeName].join('.'));
    if (found !== undefined) return found;
  }
  throw new Error(`${typeName} is not in the contract of ${fullName}`);
}

/** Messages in messages are not listed by themselves, only within the outer one. */
function findMessage(definitions: PackageDefinition, fullName: string): Scope | undefined {
  const definition = definitions[fullName];
  if (definition !== undefined && 'type' in definition) {
    return { definitions, fullName, descriptor: definition.type as MessageDescriptor };
  }
  const dot = fullName.lastIndexOf('.');
  const outer = dot === -1 ? undefined : findMessage(definitions, fullName.slice(0, dot));
  const descriptor = outer?.descriptor.nestedType.find(({ name }) => name === fullName.slice(dot + 1));
  return descriptor === undefined ? undefined : { definitions, fullName, descriptor };
}

function sortedObject(members: readonly (readonly [string, JsonValue])[]): JsonValue {
  return Object.fromEntries(members.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
