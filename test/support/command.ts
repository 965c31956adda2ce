/** Telecommands for tests, with a real HMAC. */
import { emitTelecommand, encodeArguments, type Hmac } from '../../src/apps/command/index.ts';
import { SPACECRAFT } from '../../src/apps/telemetry/index.ts';
import type { WallTime } from '../../src/core/index.ts';
import { commandKeys } from '../../src/io/command-keys.ts';

export const KEY = { id: 1, hmacSha256: '5a'.repeat(32) };
export const KEYS: ReadonlyMap<number, Hmac> = commandKeys([KEY, { id: 2, hmacSha256: 'a5'.repeat(32) }]);

export function telecommand(
  name: string,
  args: Record<string, string>,
  counter: bigint | number,
  options: { keyId?: number; executeAt?: WallTime; hmac?: Hmac } = {},
): Uint8Array {
  const definition = SPACECRAFT.commands.find((c) => c.name === name)!;
  const encoded = encodeArguments(definition, args);
  if (!encoded.ok) throw new Error(JSON.stringify(encoded.problems));
  const keyId = options.keyId ?? 1;
  return emitTelecommand(
    SPACECRAFT,
    {
      keyId,
      counter: BigInt(counter),
      executeAt: options.executeAt,
      opcode: definition.opcode,
      argumentOctets: encoded.value,
    },
    options.hmac ?? KEYS.get(keyId)!,
  );
}
