"""Keyed pseudonyms of patients and bags, and the file that holds the key.

A pseudonym is HMAC-SHA256 under a secret key. Without the key nobody can test
a guessed id against it, as they could with a plain hash; with the key the
manifest's owner gets the same pseudonyms again in a later build.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import os
import secrets
import stat
from pathlib import Path

from data.problems import InputError, Problem

_KEY_BYTES = 32
_PSEUDONYM_DIGITS = 32


class Pseudonyms:
  """Maps ids of the manifest to pseudonyms under one key."""

  def __init__(self, key: bytes):
    """Takes the secret `key`, 32 bytes."""
    self._key = key

  def patient(self, patient_id: str) -> str:
    """Returns the patient's pseudonym, 32 hexadecimal digits."""
    return self._digest("patient", patient_id)

  def bag(self, patient_id: str, bag_id: str) -> str:
    """Returns the bag's pseudonym, 32 hexadecimal digits.

    It is taken over patient and bag, so that study "1" of one patient is not
    study "1" of another.
    """
    return self._digest("bag", patient_id, bag_id)

  @property
  def key_id(self) -> str:
    """Tells one key from another and gives none away, 16 hexadecimal digits."""
    return self._digest("key id")[:16]

  def _digest(self, *parts: str) -> str:
    # JSON, so that ('ab', 'c') and ('a', 'bc') are two messages.
    message = json.dumps(parts).encode()
    digest = hmac.new(self._key, message, hashlib.sha256).hexdigest()
    return digest[:_PSEUDONYM_DIGITS]


def patient_key(pseudonym: str) -> int:
  """Returns the first 63 bits of a pseudonym, an int in [0, 2^63)."""
  return int(pseudonym[:16], 16) >> 1


@dataclasses.dataclass(frozen=True)
class KeyFile:
  """A build's key, and the file that it comes from or will be kept in.

  Attributes:
    path: of the file.
    key: 32 bytes.
    is_new: whether there is no such file yet.
  """

  path: Path
  key: bytes
  is_new: bool

  def save(self) -> None:
    """Writes a new key; one that was read is left as it is.

    Raises:
      OSError: as `write_key`.
    """
    if self.is_new:
      self.path.parent.mkdir(parents=True, exist_ok=True)
      write_key(self.path, self.key)


def open_key(path: Path) -> KeyFile:
  """Reads a key, or draws one where there is no such file; writes nothing.

  Raises:
    InputError: as `read_key`.
  """
  key = read_key(path)
  return KeyFile(path, key or new_key(), is_new=key is None)


def read_key(path: Path) -> bytes | None:
  """Reads the key file.

  Returns:
    The key, 32 bytes, or None when there is no such file.

  Raises:
    InputError: the file cannot be read or does not hold a key.
  """
  try:
    text = path.read_bytes().decode("ascii", errors="replace").strip()
  except FileNotFoundError:
    return None
  except OSError as error:
    received = f"a file that cannot be read ({error.strerror})"
    raise _key_error(path, received) from error
  if not text:
    raise _key_error(path, "an empty file")
  try:
    key = bytes.fromhex(text)
  except ValueError:
    key = b""
  if len(key) != _KEY_BYTES:
    raise _key_error(path, f"{len(text)} characters of something else")
  return key


def new_key() -> bytes:
  """Returns a random key, 32 bytes."""
  return secrets.token_bytes(_KEY_BYTES)


def write_key(path: Path, key: bytes) -> None:
  """Writes a new key file that its owner alone may read.

  Raises:
    FileExistsError: another build wrote the file in the meantime.
    OSError: the file cannot be written.
  """
  flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
  descriptor = os.open(path, flags, 0o600)
  try:
    with os.fdopen(descriptor, "w") as file:
      file.write(key.hex() + "\n")
      file.flush()
      os.fsync(file.fileno())
  except BaseException:
    path.unlink(missing_ok=True)  # Half a key would stop the next build.
    raise


def others_may_read(path: Path) -> bool:
  """Returns whether group or others have any right on the key file."""
  return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _key_error(path: Path, received: str) -> InputError:
  message = (
    f"--id_key_file: Expected {2 * _KEY_BYTES} hexadecimal digits in "
    f"{str(path)!r}. Received: {received}. Name the key of an earlier build, "
    "or a file that does not exist yet: a new key is written there."
  )
  return InputError([Problem("bad key file", message)])
