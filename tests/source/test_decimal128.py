"""A Decimal128 keeps its number and its places."""

from bson import Decimal128
from hypothesis import example, given
from hypothesis import strategies as st

from exports.source.decimal128 import decimal_of


@given(st.binary(min_size=16, max_size=16))
@example(Decimal128("-0.00").bid)
@example(Decimal128("-1.50").bid)
@example(Decimal128("1E-6176").bid)
@example(Decimal128("9.999999999999999999999999999999999E+6144").bid)
@example(Decimal128("-Infinity").bid)
@example(Decimal128("NaN").bid)
def test_a_decimal128_is_the_number_that_the_driver_makes_of_it(stored: bytes) -> None:
    value = Decimal128.from_bid(stored)
    assert repr(decimal_of(value)) == repr(value.to_decimal())
