"""`/api/v1/`: which principles hold where, for programs. Every answer is data; every refusal is a problem in words."""
