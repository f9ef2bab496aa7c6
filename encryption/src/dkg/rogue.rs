//! What a faulty party of a sharing says, made by the parts that honest ones are made of. For tests,
//! the benchmark and the simulator only: the feature `rogue` is theirs.

use blstrs::Scalar;
use conclave_types::{ValidatorIndex, digest::Hasher};
use ff::Field;

use crate::{
    dkg::{
        Dkg, complaint::Complaint, dealing, dealing::Dealing, polynomial::SharingPolynomial,
        proof::ScalarBytes, registration::HolderKey,
    },
    field::hash_to_scalar,
    secret::Secret,
};

impl Dkg {
    /// A dealing for a fresh key, well proved, that deals the first `wronged` recipients something else.
    #[must_use]
    pub fn deal_wrongly(
        &self,
        validator: ValidatorIndex,
        seed: &[u8; 32],
        wronged: usize,
    ) -> Dealing {
        let scalar = |number: u8| {
            Secret(hash_to_scalar(Hasher::new("conclave/rogue-dealing/v1").fixed(seed).u8(number)))
        };
        let (session, roster) = (&self.session, &self.roster);
        let (constant, ephemeral) = (scalar(0), scalar(1));
        let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::from_seed(*seed);
        let polynomial = SharingPolynomial::random(session.packing(), scalar(0), &mut rng);
        let dealer = validator.as_u16();
        let mut dealing = dealing::assemble(session, roster, dealer, &polynomial, scalar(1));
        for evaluation in dealing.evaluations.iter_mut().take(wronged) {
            let value = evaluation.read().unwrap_or(Scalar::ZERO);
            *evaluation = ScalarBytes::new(&(value + Scalar::ONE));
        }
        dealing.prove(session, roster, (&constant, &ephemeral));
        dealing
    }

    /// A complaint about a dealing, whether or not there is a reason for it; none if the dealing is not
    /// on the chain, or the key's holder has no point.
    #[must_use]
    pub fn complain_anyway(&self, key: &HolderKey, dealer: u16) -> Option<Complaint> {
        let point = self.session.holders().points(key.validator()).next()?;
        let dealing = self.dealings.get(&dealer)?;
        Some(Complaint::new(&self.session, key, dealing, point))
    }
}
