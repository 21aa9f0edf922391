"""The rules of the shop. Pure: values in, values out; no Flask, no Redis, no SQL, no clock."""
