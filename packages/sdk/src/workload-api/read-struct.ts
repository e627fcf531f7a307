/** google.protobuf.Struct to the JSON that it stands for. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import type { Struct__Output } from '@bonafide/shared/rpc/gen/google/protobuf/Struct';
import type { Value__Output } from '@bonafide/shared/rpc/gen/google/protobuf/Value';

const DEEPEST = 16;

/** @throws BonafideError `invalid_argument` when it is nested too deeply. */
export function readStruct(struct: Struct__Output, depth = 0): JsonObject {
  if (depth > DEEPEST) throw invalidArgument('the claims are nested too deeply');
  const entries = Object.entries(struct.fields).map(([name, value]) => [name, readValue(value, depth + 1)]);
  return Object.fromEntries(entries) as JsonObject;
}

function readValue(value: Value__Output, depth: number): unknown {
  if (depth > DEEPEST) throw invalidArgument('the claims are nested too deeply');
  switch (value.kind) {
    case 'numberValue':
      return value.numberValue;
    case 'stringValue':
      return value.stringValue;
    case 'boolValue':
      return value.boolValue;
    case 'structValue':
      return readStruct(value.structValue ?? { fields: {} }, depth);
    case 'listValue':
      return (value.listValue?.values ?? []).map((item) => readValue(item, depth + 1));
    case 'nullValue':
    case undefined:
      break;
  }
  // JSON's own word for "nothing", in JSON that is handed on as it came.
  return null;
}
