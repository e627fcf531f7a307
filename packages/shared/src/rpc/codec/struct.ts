/** JSON objects as google.protobuf.Struct, in which the Workload API returns the claims of a token. */
import { isJsonObject, type JsonObject } from '../../jwt/unique-json.js';
import type { Struct, Struct__Output } from '../gen/google/protobuf/Struct.js';
import type { Value, Value__Output } from '../gen/google/protobuf/Value.js';

/** @param object of JSON's values only. */
export function structToProto(object: JsonObject): Struct {
  return {
    fields: Object.fromEntries(Object.entries(object).map(([name, value]) => [name, valueToProto(value)])),
  };
}

export function structFromProto({ fields }: Struct__Output): JsonObject {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, valueFromProto(value)]));
}

function valueToProto(value: unknown): Value {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(valueToProto) } };
  if (isJsonObject(value)) return { structValue: structToProto(value) };
  return { nullValue: 'NULL_VALUE' };
}

function valueFromProto(value: Value__Output): unknown {
  switch (value.kind) {
    case 'stringValue':
      return value.stringValue;
    case 'numberValue':
      return value.numberValue;
    case 'boolValue':
      return value.boolValue;
    case 'listValue':
      return value.listValue?.values.map(valueFromProto);
    case 'structValue':
      return value.structValue === null || value.structValue === undefined
        ? {}
        : structFromProto(value.structValue);
    case 'nullValue':
    case undefined:
      break;
  }
  return null;
}
