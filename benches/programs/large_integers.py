# Integers of hundreds and thousands of digits: products, quotients, powers, greatest divisors, and their decimal digits. A
# round does each once. Prints how many seconds of a processor it took after the result.
import math
import sys
import time


def fibonacci(n):
    last, this = 0, 1
    for _ in range(n):
        last, this = this, last + this
    return last


def factorial(n):
    product = 1
    for factor in range(2, n + 1):
        product *= factor
    return product


def power(base, exponent, modulus):
    answer, square = 1, base % modulus
    while exponent > 0:
        if exponent & 1:
            answer = answer * square % modulus
        square = square * square % modulus
        exponent >>= 1
    return answer


def pi(digits):
    """Pi times ten to the power of `digits`, by Machin's formula."""
    unit = 10 ** (digits + 10)
    return (arctan(5, unit) * 4 - arctan(239, unit)) * 4 // 10000000000


def arctan(divisor, unit):
    term = unit // divisor
    total, count, square = term, 1, divisor * divisor
    while term != 0:
        term = -(term // square)
        count += 2
        total += term // count
    return total


def digit_sum(n):
    total = 0
    for each in str(n):
        total += int(each)
    return total


def run(rounds):
    total = None
    for _ in range(rounds):
        a, b, c = fibonacci(3000), factorial(800), pi(800)
        prime = 2**521 - 1
        assert power(3, prime - 1, prime) == 1
        assert math.gcd(a, b) > 1
        assert b // factorial(799) == 800
        assert 7**1000 % 1000000007 == 224787023
        total = digit_sum(a) * 100000000 + digit_sum(b) * 10000 + digit_sum(c)
        assert total == 278179293597
    return total


start = time.process_time()
print(run(int(sys.argv[1])))
print(time.process_time() - start)
