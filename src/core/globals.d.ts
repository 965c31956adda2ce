/** Pure standard globals that the ECMAScript library files of TypeScript do not declare. Nothing here makes a system call. */
declare class TextEncoder {
  encode(text?: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(octets?: Uint8Array, options?: { stream?: boolean }): string;
}
declare function atob(base64: string): string;
